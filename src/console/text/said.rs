//! What the gateway says in English, told in Chinese: whole texts, and beginnings before what a system, a bot
//! or a service added.

const WHOLE: [(&str, &str); 24] = [
    // Why an event is stored.
    ("no bot is online for this account", "该客服账号没有在线的机器人"),
    ("the bot is away", "机器人失联"),
    ("the bot registered just now", "机器人刚刚注册"),
    ("waiting after a failed attempt", "投递失败后等待重试"),
    ("the bot has not answered yet", "机器人尚未应答"),
    ("a poke without token went less than a minute ago", "一分钟内已发送过不带 token 的通知"),
    // Why an attempt failed.
    ("no connection in time", "连接超时"),
    ("the bot did not answer in time", "机器人未及时应答"),
    ("the service did not answer in time", "服务未及时应答"),
    ("the attempt broke off", "投递中断"),
    // Problems.
    ("the store is unavailable; try again", "存储不可用，请重试"),
    ("nobody declared this corp", "没有声明该企业"),
    ("nobody declared this corp, and no bot of it ever registered", "该企业未声明，也没有机器人注册过"),
    ("the corp has no service of this name", "该企业没有这个名称的服务"),
    ("no bot is registered for this kfId", "该客服账号没有注册机器人"),
    ("no cached token has this id", "没有这个令牌"),
    (
        "no undelivered event has this id: it was delivered, superseded, or never there",
        "没有这个未送达的事件：它已送达、被取代，或从未存在",
    ),
    ("CORPS_FILE declares this corp: change it there", "该企业由 CORPS_FILE 声明：请在文件中修改"),
    ("this corp is declared already: open its page", "该企业已声明：请打开它的页面"),
    ("the corp has a service of this name: open it to change it", "已有同名服务：请打开它进行修改"),
    ("as-received needs a credential of the corp to seal the event with", "“原样”格式需要该企业的凭据来加密测试事件"),
    (
        "the app's secret is not known here: it is learned from its next caller, or from a registration",
        "本网关还不知道该应用的 Secret：等下一次调用或机器人注册时获得",
    ),
    (
        "too many refused secrets in the last hour; not asked, because WeCom bans the address of who keeps asking",
        "最近一小时被拒绝的 Secret 过多；为避免企业微信封禁 IP，本次未请求",
    ),
    ("it takes too long", "响应过慢"),
];

const BEGINNINGS: [(&str, &str); 11] = [
    ("no connection: ", "无法连接："),
    ("the bot answered ", "机器人返回 "),
    ("the service answered ", "服务返回 "),
    ("the bot broke off: ", "机器人中断连接："),
    ("the service broke off: ", "服务中断连接："),
    ("DISPATCH_DENY_NETWORKS forbids ", "DISPATCH_DENY_NETWORKS 禁止访问 "),
    ("the store is unavailable: ", "存储不可用："),
    ("WeCom answered ", "企业微信返回 "),
    ("corpId ", "企业 ID "),
    ("openKfId ", "客服账号 "),
    ("service ", "服务名称 "),
];

/// Rules of fields, wherever the field stands.
const RULES: [(&str, &str); 12] = [
    ("must be 1 to 64 characters of A-Z a-z 0-9 _ -", "须为 1 至 64 个字符：A-Z a-z 0-9 _ -"),
    ("must be a name of 1 to 64 characters of A-Z a-z 0-9 _ -", "须为 1 至 64 个字符的名称：A-Z a-z 0-9 _ -"),
    ("must be 1 to 128 visible ASCII characters", "须为 1 至 128 个可见 ASCII 字符"),
    ("must be the 43 characters of EncodingAESKey as WeCom shows it", "须为企业微信显示的 43 位 EncodingAESKey"),
    ("must not be empty", "不能为空"),
    ("is missing", "缺失"),
    ("must be a string", "须为文本"),
    ("must be http(s)://[user:password@]host[:port]", "须为 http(s)://[用户:密码@]主机[:端口]"),
    ("names no credential that this corp has", "不是该企业的凭据"),
    ("must be as-received, decrypted-xml or json", "须为 as-received、decrypted-xml 或 json"),
    ("is unknown; known are ", "未知；可用的有 "),
    ("credentials[0].", ""),
];

pub(super) fn in_chinese(text: &str) -> String {
    if let Some((_, chinese)) = WHOLE.iter().find(|(english, _)| *english == text) {
        return (*chinese).to_owned();
    }
    let begun = BEGINNINGS.iter().find_map(|(english, chinese)| Some((chinese, text.strip_prefix(english)?)));
    let told = begun.map_or_else(|| text.to_owned(), |(chinese, rest)| format!("{chinese}{rest}"));
    RULES.iter().fold(told, |told, (english, chinese)| told.replace(english, chinese))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_are_translated_and_others_stay() {
        assert_eq!(in_chinese("the bot is away"), "机器人失联");
        assert_eq!(
            in_chinese("no connection: Connection refused (os error 111)"),
            "无法连接：Connection refused (os error 111)"
        );
        assert_eq!(in_chinese("credentials[0].token: must not be empty"), "token: 不能为空");
        assert_eq!(in_chinese("something new"), "something new");
    }
}
