//! `admin-token`: the generated token to stdout, so that scripts can use it; the console's link, which
//! is for people, to stderr.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};

use crate::config::read_admin_token;

use super::healthcheck::local;
use super::settings::SettingFlags;
use super::{Exit, Hinted, report};

pub(super) fn run(settings: &SettingFlags) -> anyhow::Result<Exit> {
    let (config, _) = settings.load()?;
    if !config.admin_tokens.is_empty() {
        bail!("ADMIN_TOKEN is set, so that none is generated: use its value");
    }
    if config.mongo_uri.is_some() {
        let error = anyhow!("with MONGO_URI no token is generated, and without ADMIN_TOKEN there is no admin API");
        bail!(Hinted::new(error, "set ADMIN_TOKEN, the same at every replica"));
    }
    let directory = config.data_dir.display();
    let token = read_admin_token(&config.data_dir).with_context(|| format!("cannot read the token in {directory}"))?;
    let Some(token) = token else {
        let error = anyhow!("no token was generated in {directory} yet");
        bail!(Hinted::new(error, "start the gateway once, or set DATA_DIR to the directory that it uses"));
    };
    report::data(token.expose());
    let address = SocketAddr::new(local(config.bind_address), config.ops_port());
    report::note(format_args!("console: http://{address}/console"));
    Ok(Exit::Success)
}
