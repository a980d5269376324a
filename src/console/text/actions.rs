//! What was done, as the record of changes names it. Stores may hold words of a newer version, which are
//! shown as they are.

use super::{Speech, Words};

impl Words {
    pub fn action(&self, code: &str) -> String {
        let (english, chinese) = match code {
            "corp.put" => ("Corp changed", "修改企业"),
            "corp.delete" => ("Corp withdrawn", "撤销企业"),
            "service.put" => ("Service changed", "修改服务"),
            "service.delete" => ("Service removed", "移除服务"),
            "service.test" => ("Service tested", "测试服务"),
            "puppet.register" => ("Bot registered", "机器人注册"),
            "puppet.register.refused" => ("Registration refused", "拒绝注册"),
            "puppet.deregister" => ("Bot deregistered", "机器人注销"),
            "puppet.deregister.refused" => ("Deregistration refused", "拒绝注销"),
            "puppet.delete" => ("Bot removed", "移除机器人"),
            "delivery.redeliver" => ("Event redelivered", "重新投递事件"),
            "delivery.delete" => ("Event deleted", "删除事件"),
            "token.renew" => ("Token renewed", "续期令牌"),
            "admin.refused" => ("Wrong ADMIN_TOKEN", "ADMIN_TOKEN 错误"),
            "puppet.refused" => ("Wrong PUPPET_PASSWORD", "PUPPET_PASSWORD 错误"),
            other => (other, other),
        };
        match self.speech {
            Speech::AsItIs => english.to_owned(),
            Speech::Translated => chinese.to_owned(),
        }
    }
}
