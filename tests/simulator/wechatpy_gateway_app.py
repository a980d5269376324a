"""A program made with wechatpy whose WeCom is the gateway.

    python3 tests/simulator/wechatpy_gateway_app.py GATEWAY CORP SECRET ACCOUNT CUSTOMER SYNC_TOKEN

Uses the API, says `ready`, and uses it once more, with the same client, when it is sent a line. Without
wechatpy's own way to renew tokens, so that a call fails unless the gateway heals it.
"""

import io
import sys

from wechatpy.work import WeChatClient

GATEWAY, CORP, SECRET, ACCOUNT, CUSTOMER, SYNC_TOKEN = sys.argv[1:]


class Client(WeChatClient):
    """wechatpy writes the address of `gettoken` into the call, whatever API_BASE_URL says."""

    API_BASE_URL = f"{GATEWAY}/cgi-bin/"

    def fetch_access_token(self):
        params = {"corpid": self.corp_id, "corpsecret": self.secret}
        return self._fetch_access_token(url=f"{self.API_BASE_URL}gettoken", params=params)


client = Client(CORP, SECRET, auto_retry=False)


def use(greeting):
    accounts = client.kf.get_account_list()["account_list"]
    assert [account["open_kfid"] for account in accounts] == [ACCOUNT], accounts
    page = client.kf.sync_msg(SYNC_TOKEN)
    message = next(message for message in page["msg_list"] if message["text"]["content"] == f"我是{CUSTOMER}")
    client.kf_message.send_text(message["external_userid"], ACCOUNT, greeting)
    picture = io.BytesIO(b"\x89PNG and what follows " + greeting.encode())
    picture.name = "picture.png"
    media = client.media.upload("image", picture)["media_id"]
    # `client.media.download` has WeCom's address written into it as well.
    downloaded = client.get("media/get", params={"media_id": media})
    assert downloaded.content == picture.getvalue()


use(f"早 from {CUSTOMER}")
print("ready", flush=True)
sys.stdin.readline()
use(f"晚 from {CUSTOMER}")
print("wechatpy: ok")
