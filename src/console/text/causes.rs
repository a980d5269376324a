//! Why a callback was refused: in English as the log has it, in Chinese here.

use crate::callback::explain::{BodyFault, Cause, Flaw, Input, ParameterFault, Place, Receiver, TextFault, Whom};

use super::{Speech, Words};

impl Words {
    /// What is wrong, and what to do.
    pub fn cause(&self, cause: &Cause) -> (String, String) {
        match self.speech {
            // There it is WeCom's console that is spoken of; here are two.
            Speech::AsItIs => {
                let text = |text: String| text.replace("the console", "WeCom's console");
                (text(cause.what()), text(cause.remedy()))
            }
            Speech::Translated => (what(cause), remedy(cause)),
        }
    }

    /// The one input that is wrong.
    pub fn wrong(&self, input: Input) -> &'static str {
        match (self.speech, input) {
            (Speech::AsItIs, Input::Token) => "wrong Token",
            (Speech::AsItIs, Input::AesKey) => "wrong EncodingAESKey",
            (Speech::AsItIs, Input::CorpId) => "wrong corp ID",
            (Speech::AsItIs, Input::Url) => "wrong URL",
            (Speech::AsItIs, Input::Body) => "wrong body",
            (Speech::Translated, Input::Token) => "Token 不正确",
            (Speech::Translated, Input::AesKey) => "EncodingAESKey 不正确",
            (Speech::Translated, Input::CorpId) => "企业 ID 不正确",
            (Speech::Translated, Input::Url) => "URL 不正确",
            (Speech::Translated, Input::Body) => "请求体不正确",
        }
    }

    /// The class of a refusal, as the metric names it.
    pub fn refusal(&self, class: &str) -> String {
        let (english, chinese) = match class {
            "unknown_corp" => ("unknown corp", "未知企业"),
            "unavailable" => ("neither delivered nor stored", "既未送达也未存储"),
            "bad_query" => ("query incomplete or repeated", "查询参数不完整或重复"),
            "too_large" => ("body too large", "请求体过大"),
            "broke_off" => ("body broke off", "请求体中断"),
            "bad_body" => ("no XML with Encrypt", "不是含 Encrypt 的 XML"),
            "bad_signature" => ("wrong signature", "签名不正确"),
            "decrypt_error" => ("not decryptable", "无法解密"),
            "bad_receive_id" => ("wrong receive ID", "接收方 ID 不正确"),
            other => (other, other),
        };
        match self.speech {
            Speech::AsItIs => english.to_owned(),
            Speech::Translated => chinese.to_owned(),
        }
    }
}

const PASS_THE_QUERY_ON: &str = "请让代理原样转发查询参数，既不解码也不再次编码";
const PASS_THE_BODY_ON: &str = "请让代理逐字节原样转发请求体，且大小限制不低于 1 MiB";

fn what(cause: &Cause) -> String {
    match cause {
        Cause::Parameter(name, fault) => parameter(*fault, name),
        Cause::HtmlEscaped => "URL 中的 `&` 写成了 `&amp;`：它是从 HTML 页面复制的".into(),
        Cause::OfficialAccount => {
            "URL 中是 `signature`，而企业微信发送 `msg_signature`：调用方是公众号，不是企业微信".into()
        }
        Cause::NoEchostr => "URL 中没有 `echostr`，不是校验请求，也没有请求体".into(),
        Cause::UrlOfAVerification => "这是校验请求的 URL：其签名对应 `echostr`，不对应请求体".into(),
        Cause::OtherPath(corp) => format!("回调是真实的，但 URL 路径写的是企业 {corp}"),
        Cause::Text(place, fault) => text(*fault, place_name(*place)),
        Cause::Body(fault) => body(*fault).into(),
        Cause::NoCredential => "没有该企业的 Token".into(),
        Cause::TokenFlaw(flaw) => format!("Token {}", flaw_of(*flaw)),
        Cause::TokenWrong => "EncodingAESKey 能解密，但签名是用另一个 Token 生成的".into(),
        Cause::BothWrong => "Token 和 EncodingAESKey 都不匹配：属于其他应用，或已在后台修改".into(),
        Cause::DeclaredElsewhere(corp) => format!("匹配的 Token 声明在企业 {corp} 下，而不是这个企业"),
        Cause::AesKeyFlaw(flaw) => format!("EncodingAESKey {}", flaw_of(*flaw)),
        Cause::AesKeyWrong => "Token 正确，但 EncodingAESKey 无法解密".into(),
        Cause::Swapped => "Token 和 EncodingAESKey 填反了".into(),
        Cause::PairsMixed => "Token 来自一组凭据，EncodingAESKey 来自另一组".into(),
        Cause::ReceiveId(receiver) => receiver_of(receiver),
        Cause::AnotherCorps(corp) => format!("这是企业 {corp} 的回调：签名用的是它的 Token"),
        Cause::AddressedTo(corp) => format!("请求体发给 {corp}，且 Token 和 EncodingAESKey 都不匹配"),
        Cause::UnknownCorp => "该企业未声明，也没有机器人注册过".into(),
    }
}

fn remedy(cause: &Cause) -> String {
    match cause {
        Cause::Parameter(_, fault) => match fault {
            ParameterFault::Missing => "请让代理完整转发查询参数",
            ParameterFault::Repeated => "请从后台填写的 URL 中去掉企业微信自带的参数，并检查是哪个代理重复添加",
            ParameterFault::EncodedTwice | ParameterFault::DecodedTwice | ParameterFault::PlusBecameSpace => {
                PASS_THE_QUERY_ON
            }
            _ => "请以第一个代理的日志中企业微信请求的 URL 为准，检查途中是什么改写了它",
        }
        .into(),
        Cause::HtmlEscaped => "请从代理日志中复制，或把 `&amp;` 改为 `&`".into(),
        Cause::OfficialAccount => "请把 URL 填到企业微信管理后台，而不是公众号后台".into(),
        Cause::NoEchostr => "请检查 URL 是否完整，并让代理完整转发查询参数".into(),
        Cause::UrlOfAVerification => "请使用发送该请求体的那个 URL".into(),
        Cause::OtherPath(_) => "请在该企业的后台填写它自己的回调 URL：/callback/ 加企业 ID".into(),
        Cause::Text(Place::Echostr, TextFault::SealedWrongly)
        | Cause::Text(Place::Encrypt, TextFault::SealedWrongly) => {
            "请查明还有谁持有该 Token 并调用此 URL，例如测试程序".into()
        }
        Cause::Text(Place::Echostr, _) => PASS_THE_QUERY_ON.into(),
        Cause::Text(Place::Encrypt, _) => PASS_THE_BODY_ON.into(),
        Cause::Body(fault) => match fault {
            BodyFault::Empty => "请检查是哪个代理丢弃了请求体：重定向会这样，而企业微信不跟随重定向",
            BodyFault::Json => "请从后台的 URL 中去掉 `callback_format=json`，并确认没有代理转换请求体",
            BodyFault::InTheClear => {
                "这里应发送企业微信的原始请求体；其他网关解密后的内容请发到 /callback/decrypted/{corpId}"
            }
            BodyFault::Dtd | BodyFault::NoEncrypt | BodyFault::TooLarge => {
                "请查明是谁在调用此 URL：企业微信不会发送这样的请求体"
            }
            _ => PASS_THE_BODY_ON,
        }
        .into(),
        Cause::NoCredential => "请在下方添加 Token 和 EncodingAESKey，或让该企业的机器人注册".into(),
        Cause::TokenFlaw(_) => "请只填后台显示的 Token：字母和数字".into(),
        Cause::TokenWrong => "请从后台重新复制 Token，并在后台点「保存」；若 Token 无误，则 URL 在途中被修改".into(),
        Cause::BothWrong => "请从填写此回调 URL 的应用页面重新复制 Token 和 EncodingAESKey，并在后台点「保存」".into(),
        Cause::DeclaredElsewhere(_) => "请为该企业声明这组 Token 和 EncodingAESKey".into(),
        Cause::AesKeyFlaw(_) => "请填后台显示的 EncodingAESKey：43 位字母和数字，前后没有其他字符".into(),
        Cause::AesKeyWrong => "请从后台重新复制 EncodingAESKey 并点「保存」：随机生成的密钥保存后才生效".into(),
        Cause::Swapped => "请互换：EncodingAESKey 是 43 位的那个".into(),
        Cause::PairsMixed => "请把同一应用的 Token 和 EncodingAESKey 放在同一组凭据中".into(),
        Cause::ReceiveId(Receiver { whom, expected }) => match whom {
            Whom::Nobody => "请把凭据的接收方 ID 设为空字符串（通过 API：\"receiveIds\": [\"\"]）".into(),
            Whom::OtherCase(id) => format!("请按企业微信的写法使用企业 ID {id}（区分大小写），回调 URL 中也一样"),
            Whom::Suite(id) => format!("请在凭据的接收方 ID 中填写 {id}, {expected}"),
            Whom::Neighbour(id) => format!("请在 {id} 的后台填写 /callback/{id}"),
            Whom::Other(id) => format!("若 {id} 是您的企业，请改用它；若是套件或服务商，请加入凭据的接收方 ID"),
            Whom::Unreadable => "请查明是谁在调用此 URL：企业微信只为企业 ID 或套件 ID 加密".into(),
        },
        Cause::AnotherCorps(corp) | Cause::AddressedTo(corp) => {
            format!("请在 {corp} 的后台填写 /callback/{corp}，或更正此处的企业 ID")
        }
        Cause::UnknownCorp => "请检查后台 URL 中的企业 ID（区分大小写），或添加该企业".into(),
    }
}

fn parameter(fault: ParameterFault, name: &str) -> String {
    match fault {
        ParameterFault::Missing => format!("URL 中没有 `{name}`"),
        ParameterFault::Repeated => format!("URL 中 `{name}` 出现多次"),
        ParameterFault::EncodedTwice => format!("`{name}` 被重复编码"),
        ParameterFault::DecodedTwice => format!("`{name}` 被重复解码"),
        ParameterFault::PlusBecameSpace => format!("`{name}` 中的 `+` 变成了空格"),
        ParameterFault::Padded => format!("`{name}` 前后有空格或引号"),
        ParameterFault::Uppercase => format!("`{name}` 是大写；企业微信发送小写，且区分大小写"),
        ParameterFault::Cut => format!("`{name}` 不完整：应为 40 位"),
        ParameterFault::Malformed => format!("`{name}` 的格式不正确"),
        ParameterFault::Altered => format!("`{name}` 被修改：签名对应的是略有不同的值"),
    }
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::Echostr => "URL 中的 `echostr`",
        Place::Encrypt => "请求体中的 `Encrypt`",
    }
}

fn text(fault: TextFault, place: &str) -> String {
    match fault {
        TextFault::PlusBecameSpace => format!("{place} 中的 `+` 变成了空格"),
        TextFault::EncodedTwice => format!("{place} 被重复编码"),
        TextFault::Respelled => format!("{place} 的写法与企业微信不同：换行、转义或 url-safe base64"),
        TextFault::Cut => format!("{place} 不完整"),
        TextFault::Altered => format!("{place} 在途中被修改或截断"),
        TextFault::SealedWrongly => format!("签名正确，但 {place} 不是企业微信加密的内容"),
    }
}

fn body(fault: BodyFault) -> &'static str {
    match fault {
        BodyFault::Empty => "请求体为空",
        BodyFault::Json => "请求体是 JSON，而此回调应为 XML",
        BodyFault::Escaped => "请求体的 XML 被 HTML 转义（`&lt;xml&gt;`）",
        BodyFault::Dtd => "请求体含有 DTD，企业微信从不发送",
        BodyFault::Cut => "请求体不完整",
        BodyFault::NotXml => "请求体不是 XML",
        BodyFault::InTheClear => "请求体未加密：只有消息本身，没有 `Encrypt`",
        BodyFault::NoEncrypt => "请求体的根元素下没有 `Encrypt`",
        BodyFault::TooLarge => "请求体超过 1 MiB",
        BodyFault::BrokeOff => "请求体中断或过慢",
    }
}

fn flaw_of(flaw: Flaw) -> String {
    match flaw {
        Flaw::Empty => "为空".into(),
        Flaw::Spaces => "含有空格或换行".into(),
        Flaw::Quotes => "前后有引号".into(),
        Flaw::Equals => "末尾有 `=`，EncodingAESKey 没有".into(),
        Flaw::Length(length) => format!("有 {length} 位，而 EncodingAESKey 为 43 位"),
        Flaw::Characters => "含有 EncodingAESKey 不会有的字符".into(),
    }
}

fn receiver_of(receiver: &Receiver) -> String {
    let Receiver { whom, expected } = receiver;
    let whom = match whom {
        Whom::Nobody => "空（个人服务商的应用）".into(),
        Whom::OtherCase(id) => format!("{id}（字母相同，大小写不同）"),
        Whom::Suite(id) => format!("套件 {id}"),
        Whom::Neighbour(id) => format!("本网关的另一企业 {id}"),
        Whom::Other(id) => id.to_string(),
        Whom::Unreadable => "不是企业 ID 的内容".into(),
    };
    format!("Token 和 EncodingAESKey 正确，但密文不是发给 {expected} 的，接收方为：{whom}")
}
