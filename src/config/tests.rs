use super::*;

fn faults(variables: &[(&str, &str)]) -> Vec<String> {
    let faults = Config::load(&Source::of(variables.iter().copied())).unwrap_err();
    faults.to_string().lines().map(str::to_owned).collect()
}

fn load(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
    let (config, warnings) = Config::load(&Source::of(variables.iter().copied())).unwrap();
    (config, warnings.iter().map(Warning::to_string).collect())
}

#[test]
fn nothing_set_gives_the_documented_defaults() {
    let (config, warnings) = load(&[]);
    assert_eq!(config.port, 7777);
    assert_eq!(config.bind_address, IpAddr::from([0, 0, 0, 0]));
    assert_eq!(config.event_ttl, Duration::from_secs(9 * 60 + 45));
    assert_eq!(config.wecom_api_base_url.as_str(), "https://qyapi.weixin.qq.com/");
    assert!(config.dispatch_deny_networks.denies("169.254.169.254".parse().unwrap()));
    assert!(config.admin_tokens.is_empty() && config.puppet_passwords.is_empty());
    assert_eq!(warnings.len(), 1, "bound beyond loopback without a password: {warnings:?}");
    assert!(warnings[0].starts_with("PUPPET_PASSWORD: "));
}

#[test]
fn every_example_and_every_flag_is_taken() {
    for setting in SETTINGS {
        // Some examples of secrets are commands that make one.
        let example = match setting.variable {
            "MASTER_KEY" => "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            _ if setting.example.starts_with("$(") => "abc.DEF_1~2-3",
            _ => setting.example,
        };
        // A way out must not be open to everybody.
        load(&[(setting.variable, example), ("BIND_ADDRESS", "127.0.0.1")]);
        if setting.flag().is_some() {
            let source = Source::of([("BIND_ADDRESS", "127.0.0.1")]);
            let source = source.with_flags([(setting.variable, example.to_owned())]);
            Config::load(&source).unwrap();
        }
    }
}

#[test]
fn all_faults_come_at_once_each_with_name_and_example() {
    let lines = faults(&[
        ("PORT", "77x"),
        ("PUBLIC_PORT", "8000"),
        ("OPS_PORT", "8000"),
        ("BIND_ADDRESS", "localhost"),
        ("PUBLIC_URL", "ftp://gateway"),
        ("EVENT_TTL", "10"),
        ("DISPATCH_TIMEOUT", "0s"),
        ("SHUTDOWN_DELAY", "-5s"),
        ("SHUTDOWN_GRACE", "99999999h"),
        ("TOKEN_MAX_LEASE", "500ms"),
        ("REGISTRATION", "closed"),
        ("DISPATCH_DENY_NETWORKS", "10.0.0.0/8,ten"),
        ("RUST_LOG", "info,=,,x=y=z"),
        ("MASTER_KEY", "short"),
        ("PUPPET_PASSWORD", "fine,not@fine"),
        ("ADMIN_TOKEN", "a,,b"),
    ]);
    for name in [
        "PORT: `77x`",
        "OPS_PORT: 8000 is the port of PUBLIC_PORT",
        "BIND_ADDRESS: `localhost`",
        "PUBLIC_URL: must begin with http",
        "EVENT_TTL: `10` is no duration",
        "DISPATCH_TIMEOUT: must be longer",
        "SHUTDOWN_DELAY: `-5s` is negative",
        "SHUTDOWN_GRACE: ",
        "TOKEN_MAX_LEASE: `500ms` is shorter",
        "REGISTRATION: `closed` is none of `proof`, `open`",
        "DISPATCH_DENY_NETWORKS: `ten`",
        "RUST_LOG: ",
        "MASTER_KEY: must be 32 bytes",
        "PUPPET_PASSWORD: entry 2 of 2",
        "ADMIN_TOKEN: entry 2 of 3",
    ] {
        let line = lines.iter().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.contains("(example: ")), "{name} in {lines:#?}");
    }
    assert_eq!(lines.len(), 15, "{lines:#?}");
}

#[test]
fn a_secret_is_in_no_fault_and_no_debug_output() {
    let marker = "s3cret marker"; // a space, so that every secret's parser refuses it
    for setting in SETTINGS.iter().filter(|setting| setting.kind == Kind::Secret) {
        let lines = faults(&[(setting.variable, marker)]);
        assert!(!lines.concat().contains("s3cret"), "{lines:?}");
    }
    for url in ["PUBLIC_URL", "WECOM_API_BASE_URL", "ACCESS_TOKEN_URL", "HTTPS_PROXY"] {
        let lines = faults(&[(url, "https://user:s3cret@host:port")]);
        assert!(!lines.concat().contains("s3cret"), "{lines:?}");
    }
    let source = Source::of([("ADMIN_TOKEN", "s3cret"), ("HTTPS_PROXY", "http://u:s3cret@proxy")]);
    let (config, _) = Config::load(&source).unwrap();
    assert!(!format!("{source:?} {config:?}").contains("s3cret"));
}

#[test]
fn a_secret_comes_from_its_file_without_the_last_newline() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "one,two\r\n").unwrap();
    let (config, _) = load(&[("PUPPET_PASSWORD_FILE", file.to_str().unwrap()), ("PUPPET_PASSWORD", "")]);
    assert_eq!(config.puppet_passwords, [Secret::new("one"), Secret::new("two")]);

    let both = faults(&[("PUPPET_PASSWORD_FILE", file.to_str().unwrap()), ("PUPPET_PASSWORD", "one")]);
    assert_eq!(both.len(), 1);
    assert!(both[0].starts_with("PUPPET_PASSWORD_FILE: set together with PUPPET_PASSWORD"), "{both:?}");

    std::fs::write(&file, "\n").unwrap();
    let empty = faults(&[("PUPPET_PASSWORD_FILE", file.to_str().unwrap())]);
    assert!(empty[0].starts_with("PUPPET_PASSWORD_FILE: the file is empty"), "{empty:?}");

    let missing = faults(&[("MASTER_KEY_FILE", "/nowhere/key")]);
    assert!(missing[0].starts_with("MASTER_KEY_FILE: the file cannot be read"), "{missing:?}");
    let endless = faults(&[("MASTER_KEY_FILE", "/dev/zero")]);
    assert!(endless[0].contains("larger than 64 KiB"), "{endless:?}");
}

#[test]
fn an_empty_value_counts_as_unset() {
    let (config, _) = load(&[("PORT", ""), ("OPS_PORT", ""), ("CORPS_FILE", ""), ("ADMIN_TOKEN", "")]);
    assert_eq!((config.port, config.ops_port, config.corps_file), (7777, None, None));
    let source = Source::of([("PORT", "8080")]).with_flags([("PORT", String::new())]);
    assert_eq!(Config::load(&source).unwrap().0.port, 8080);
}

#[test]
fn a_flag_goes_before_its_variable_and_is_named_in_faults() {
    let source = Source::of([("PORT", "1"), ("EVENT_TTL", "no")]);
    let source = source.with_flags([("PORT", "2".to_owned()), ("EVENT_TTL", "never".to_owned())]);
    let faults = Config::load(&source).unwrap_err();
    assert_eq!(faults.0.len(), 1);
    assert!(faults.to_string().starts_with("--event-ttl: `never`"), "{faults}");
    assert!(faults.to_string().ends_with("(example: --event-ttl=9m45s)"), "{faults}");

    let source = Source::of([("PORT", "1")]).with_flags([("PORT", "2".to_owned())]);
    assert_eq!(Config::load(&source).unwrap().0.port, 2);
}

#[test]
fn what_kubernetes_injects_is_ignored_with_a_warning() {
    let (config, warnings) = load(&[("OPS_PORT", "tcp://10.0.0.1:80"), ("EGRESS_PORT", "tcp://10.0.0.2:80")]);
    assert_eq!(config.ops_port, None);
    for name in ["OPS_PORT: ignored", "EGRESS_PORT: ignored"] {
        assert!(warnings.iter().any(|warning| warning.starts_with(name)), "{warnings:?}");
    }
    assert_eq!(faults(&[("PORT", "tcp://10.0.0.1:80")]).len(), 1, "no Service injects PORT itself");
}

#[test]
fn a_forward_proxy_is_never_open_to_everybody() {
    for given in [&[][..], &[("BIND_ADDRESS", "10.0.0.8")], &[("BIND_ADDRESS", "::")]] {
        let lines = faults(&[&[("EGRESS_PORT", "1")], given].concat());
        assert!(lines.len() == 1 && lines[0].starts_with("EGRESS_PORT: anybody"), "{lines:?}");
    }
    for given in [("PUPPET_PASSWORD", "secret"), ("BIND_ADDRESS", "127.0.0.1"), ("BIND_ADDRESS", "::1")] {
        load(&[("EGRESS_PORT", "1"), given]);
    }
    let lines = faults(&[("EGRESS_PORT", "1"), ("PUPPET_PASSWORD", "s3cret marker")]);
    assert!(lines.len() == 1 && lines[0].starts_with("PUPPET_PASSWORD: "), "one mistake, one line: {lines:?}");
    let lines = faults(&[("EGRESS_PORT", "1"), ("PUPPET_PASSWORD_FILE", "/nowhere")]);
    assert!(lines.len() == 1 && lines[0].starts_with("PUPPET_PASSWORD_FILE: "), "{lines:?}");
    let lines = faults(&[("EGRESS_PORT", "1"), ("PUPPET_PASSWORD", "x"), ("HTTPS_PROXY", "https://proxy:3129")]);
    assert!(lines.len() == 1 && lines[0].starts_with("HTTPS_PROXY: "), "{lines:?}");
}

#[test]
fn the_forward_proxy_reaches_wecom_unless_told_otherwise() {
    let hosts = |variables: &[(&str, &str)]| load(variables).0.allowed_hosts().to_string();
    assert_eq!(hosts(&[]), "qyapi.weixin.qq.com:443");
    assert_eq!(hosts(&[("WECOM_API_BASE_URL", "http://wecom.local:8700/private")]), "wecom.local:8700");
    assert_eq!(hosts(&[("EGRESS_HOSTS", "a.example.com,b.example.com:8443")]), "a.example.com:443, b.example.com:8443");
    let lines = faults(&[("EGRESS_HOSTS", "a.example.com,https://b.example.com")]);
    assert!(lines[0].starts_with("EGRESS_HOSTS: `https://b.example.com` is no host"), "{lines:?}");
}

#[test]
fn addresses_of_shared_stores_are_checked_without_being_repeated() {
    let bad = [
        ("MONGO_URI", "mongo://u:s3cret@h"),
        ("MONGO_URI", "mongodb://u:s3cret@h:port"),
        ("REDIS_URL", "http://:s3cret@h"),
        ("REDIS_URL", "redis-sentinel://:s3cret@h1,h2"),
        ("REDIS_URL", "redis-sentinel://:s3cret@,h2/mymaster"),
    ];
    for (variable, address) in bad {
        let lines = faults(&[(variable, address)]);
        assert!(lines[0].starts_with(&format!("{variable}: must be ")), "{lines:?}");
        assert!(!lines.concat().contains("s3cret"), "{lines:?}");
    }
    for address in ["redis://h", "rediss://u:p@h:1/2", "redis-sentinel://:p@h1,h2:26380/mymaster"] {
        load(&[("REDIS_URL", address)]);
    }
    let (_, warnings) = load(&[("MONGO_URI", "mongodb+srv://u:p@cluster.example.com/wxkf")]);
    for name in ["MASTER_KEY", "REDIS_URL", "ADMIN_TOKEN"] {
        assert!(warnings.iter().any(|warning| warning.starts_with(name)), "{warnings:?}");
    }
}

#[test]
fn ports_are_distinct_unless_any_free_one_will_do() {
    let lines = faults(&[("OPS_PORT", "7777"), ("PUBLIC_PORT", "7777")]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    load(&[("PORT", "0"), ("OPS_PORT", "0"), ("PUBLIC_PORT", "0")]);
    assert_eq!(faults(&[("PORT", "x"), ("OPS_PORT", "7777")]).len(), 1, "a port at fault collides with nothing");
}

#[test]
fn addresses_that_lead_back_to_the_gateway_are_refused() {
    let own = [
        ("ACCESS_TOKEN_URL", "http://127.0.0.1:7777/api/corp/accessToken"),
        ("ACCESS_TOKEN_URL", "http://[::1]:7777/x"),
        ("ACCESS_TOKEN_URL", "http://bot:pw@localhost:7777/x"),
        ("ACCESS_TOKEN_URL", "https://gw.example.com/kf/puppetWxkfManager/getToken"),
        ("WECOM_API_BASE_URL", "http://localhost:7777"),
        ("HTTPS_PROXY", "http://u:pw@127.0.0.1:7777"),
    ];
    for (variable, url) in own {
        let lines = faults(&[("PUBLIC_URL", "https://gw.example.com/kf/"), (variable, url)]);
        assert!(lines[0].starts_with(&format!("{variable}: leads back")), "{url}: {lines:?}");
    }
    for url in ["http://127.0.0.1:7778/x", "https://gw.example.com/tokens", "http://other:7777/api/corp/accessToken"] {
        load(&[("PUBLIC_URL", "https://gw.example.com"), ("ACCESS_TOKEN_URL", url)]);
    }
}

#[test]
fn a_generated_admin_token_stays_and_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(read_admin_token(directory.path()).unwrap(), None);
    let token = create_admin_token(directory.path()).unwrap();
    assert_eq!(create_admin_token(directory.path()).unwrap(), token);
    assert_eq!(read_admin_token(directory.path()).unwrap(), Some(token));
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["admin.token"]);
    let mode = std::fs::metadata(directory.path().join("admin.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_table_lists_every_setting_once() {
    let table = markdown_table(SETTINGS);
    assert_eq!(table.lines().count(), SETTINGS.len() + 2);
    assert!(table.contains("| `PORT` | `7777` | The port for everything"), "{table}");
    assert!(table.contains("| `MASTER_KEY` (secret) |"), "{table}");
}

proptest::proptest! {
    #[test]
    fn no_value_panics_and_no_secret_is_repeated(text in "\\PC{0,40}|[0-9a-z+-]{1,24}") {
        for setting in SETTINGS {
            let Err(faults) = Config::load(&Source::of([(setting.variable, text.as_str())])) else { continue };
            let shown = &faults.0[0].fault;
            let repeated = text.trim().len() > 8 && shown.contains(text.trim());
            proptest::prop_assert!(!(setting.kind == Kind::Secret && repeated), "{shown}");
        }
    }
}
