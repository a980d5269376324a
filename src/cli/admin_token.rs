//! `admin-token`: the generated token to stdout, so that scripts can use it; the console's link, which
//! is for people, to stderr.

use anyhow::{Context as _, anyhow, bail};

use crate::config::read_admin_token;

use super::settings::SettingFlags;
use super::{Exit, Hinted, report};

pub(super) fn run(settings: &SettingFlags) -> anyhow::Result<Exit> {
    let (config, _) = settings.load()?;
    if !config.admin_tokens.is_empty() {
        bail!("ADMIN_TOKEN is set, so that none is generated: use its value");
    }
    let directory = config.data_dir.display();
    let token = read_admin_token(&config.data_dir).with_context(|| format!("cannot read the token in {directory}"))?;
    let Some(token) = token else {
        let error = anyhow!("no token was generated in {directory} yet");
        bail!(Hinted::new(error, "start the gateway once, or set DATA_DIR to the directory that it uses"));
    };
    report::data(token.expose());
    report::note(format_args!("console: http://127.0.0.1:{}/console", config.ops_port()));
    Ok(Exit::Success)
}
