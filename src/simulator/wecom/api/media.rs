//! `media/upload` (document 96484) and `media/get` (document 96486).

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, multipart};
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::{Corp, Media, World, age};

/// A media id lives three days, for the whole corp.
const LIFE: Duration = Duration::from_secs(3 * 24 * 3600);
const MEGABYTE: usize = 1024 * 1024;
/// Larger files are given in parts only.
const WHOLE: usize = 20 * MEGABYTE;

/// A file, or a part of one.
pub(super) struct Download {
    pub file_name: String,
    pub content_type: String,
    pub content: Bytes,
    /// `Content-Range` of a part.
    pub range: Option<String>,
}

pub(super) fn upload(world: &mut World, corp_id: &str, call: &Call) -> Result<Value, Refusal> {
    let kind = call.query("type").unwrap_or_default().to_owned();
    let most = match kind.as_str() {
        "image" | "video" => 10 * MEGABYTE,
        "voice" => 2 * MEGABYTE,
        "file" => 20 * MEGABYTE,
        _ => return Err(Refusal::new(errcode::BAD_MEDIA_TYPE, "type must be image, voice, video or file")),
    };
    // 44001 is what a missing or odd file name gets as well.
    let part = multipart::file(&call.content_type, &call.body)
        .ok_or_else(|| Refusal::new(errcode::EMPTY_MEDIA, "no multipart field media with a file name"))?;
    if part.content.len() <= 5 {
        return Err(Refusal::new(errcode::BAD_FILE_SIZE, "a file must have more than 5 bytes"));
    }
    if part.content.len() > most {
        return Err(Refusal::new(errcode::TOO_LARGE, format!("more than {most} bytes")));
    }
    let id = world.identifier(64);
    let media = Media {
        file_name: part.file_name,
        content_type: part.content_type,
        content: part.content,
        created_at: call.now,
    };
    world.corp(corp_id)?.media.insert(id.clone(), media);
    Ok(json!({ "type": kind, "media_id": id, "created_at": call.now.as_second().to_string() }))
}

pub(super) fn download(corp: &Corp, call: &Call) -> Result<Download, Refusal> {
    let media = call.query("media_id").and_then(|id| corp.media.get(id));
    let media = media.filter(|media| age(media.created_at, call.now) < LIFE);
    let media = media.ok_or_else(|| Refusal::new(errcode::BAD_MEDIA_ID, "no such file, or older than three days"))?;
    let total = media.content.len();
    let wanted = call.range.as_deref().and_then(|range| byte_range(range, total));
    if wanted.is_none() && total > WHOLE {
        return Err(Refusal::new(errcode::NEEDS_RANGE, "larger than 20 MB: ask for a Range"));
    }
    let (content, range) = match wanted {
        Some((first, last)) => (media.content.slice(first..=last), Some(format!("bytes {first}-{last}/{total}"))),
        None => (media.content.clone(), None),
    };
    Ok(Download { file_name: media.file_name.clone(), content_type: media.content_type.clone(), content, range })
}

/// `bytes=a-b`, `bytes=a-` and `bytes=-n`; anything else is served whole.
fn byte_range(range: &str, total: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.checked_sub(1)?;
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last.min(end)),
        (Ok(first), Err(_)) if last.is_empty() => (first, end),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => (total.saturating_sub(count), end),
        _ => return None,
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::wecom::WecomOptions;
    use crate::simulator::wecom::testkit::{http, wecom};

    #[test]
    fn reads_ranges() {
        assert_eq!(byte_range("bytes=0-3", 10), Some((0, 3)));
        assert_eq!(byte_range("bytes=4-", 10), Some((4, 9)));
        assert_eq!(byte_range("bytes=-4", 10), Some((6, 9)));
        assert_eq!(byte_range("bytes=5-99", 10), Some((5, 9)));
        for bad in ["bytes=10-", "bytes=7-3", "bytes=a-b", "items=0-1", "bytes=-0"] {
            assert_eq!(byte_range(bad, 10), None, "{bad}");
        }
        assert_eq!(byte_range("bytes=0-0", 0), None);
    }

    #[tokio::test]
    async fn gives_back_what_was_uploaded() {
        let wecom = wecom(WecomOptions::default()).await;
        let token = wecom.access_token().await;
        let (base, bytes) = (wecom.base_url(), [0_u8, 255, b'-', b'-', 13, 10, 7, 8]);
        let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name("a.bin").mime_str("image/png").unwrap();
        let upload = http()
            .post(format!("{base}/cgi-bin/media/upload?access_token={token}&type=file"))
            .multipart(reqwest::multipart::Form::new().part("media", part));
        let uploaded: Value = upload.send().await.unwrap().json().await.unwrap();
        let id = uploaded["media_id"].as_str().unwrap();
        let url = format!("{base}/cgi-bin/media/get?access_token={token}&media_id={id}");
        let whole = http().get(&url).send().await.unwrap();
        assert_eq!(whole.headers()["content-disposition"], "attachment; filename=\"a.bin\"");
        assert_eq!(whole.headers()["content-type"], "image/png");
        assert_eq!(whole.bytes().await.unwrap(), bytes.as_slice());
        let part = http().get(&url).header("range", "bytes=2-3").send().await.unwrap();
        assert_eq!((part.status().as_u16(), &part.headers()["content-range"]), (206, &"bytes 2-3/8".parse().unwrap()));
        assert_eq!(part.bytes().await.unwrap(), "--");
        wecom.clock().advance(LIFE);
        let expired = format!("media/get?access_token={}&media_id={id}", wecom.access_token().await);
        assert_eq!(wecom.get(&expired).await["errcode"], 40007);
    }

    #[tokio::test]
    async fn refuses_what_is_no_file() {
        let wecom = wecom(WecomOptions::default()).await;
        assert_eq!(wecom.post("media/upload", json!({})).await["errcode"], 40004);
        let token = wecom.access_token().await;
        let url = format!("{}/cgi-bin/media/upload?access_token={token}&type=image", wecom.base_url());
        for (part, code) in [
            (reqwest::multipart::Part::text("no file name"), 44001),
            (reqwest::multipart::Part::text("small").file_name("a"), 40006),
        ] {
            let form = reqwest::multipart::Form::new().part("media", part);
            let answer: Value = http().post(&url).multipart(form).send().await.unwrap().json().await.unwrap();
            assert_eq!(answer["errcode"], code);
        }
    }
}
