"""A customer service app made with wechatpy, against the simulated WeCom.

    python3 tests/simulator/wechatpy_app.py http://127.0.0.1:8700

Written as wechatpy's documentation shows, with the corp that `simulate wecom` starts with. The one
difference is the address: wechatpy writes https://qyapi.weixin.qq.com into several of its calls, so it
is replaced where requests sends them.
"""

import io
import json
import queue
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import requests
import xmltodict
from wechatpy.work import WeChatClient
from wechatpy.work.crypto import WeChatCrypto

WECOM = sys.argv[1].rstrip("/")
CORP, SECRET, ACCOUNT = "ww_simulated", "simulated-secret", "wk_simulated"
TOKEN, AES_KEY = "simulatedToken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

send = requests.adapters.HTTPAdapter.send


def send_to_the_simulator(adapter, request, **kwargs):
    request.url = request.url.replace("https://qyapi.weixin.qq.com", WECOM)
    return send(adapter, request, **kwargs)


requests.adapters.HTTPAdapter.send = send_to_the_simulator

crypto = WeChatCrypto(TOKEN, AES_KEY, CORP)
events = queue.Queue()


class Callback(BaseHTTPRequestHandler):
    def query(self):
        query = parse_qs(urlsplit(self.path).query)
        return [query[name][0] for name in ("msg_signature", "timestamp", "nonce")], query

    def answer(self, text):
        body = text if isinstance(text, bytes) else text.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        (signature, timestamp, nonce), query = self.query()
        self.answer(crypto.check_signature(signature, timestamp, nonce, query["echostr"][0]))

    def do_POST(self):
        (signature, timestamp, nonce), _ = self.query()
        body = self.rfile.read(int(self.headers["content-length"]))
        plain = crypto.decrypt_message(body, signature, timestamp, nonce)
        events.put(xmltodict.parse(plain)["xml"])
        self.answer("success")

    def log_message(self, *_):
        pass


def control(path, body):
    """What the administrator and the customer do."""
    request = urllib.request.Request(
        f"{WECOM}/simulator/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


def shown(step, result):
    print(f"wechatpy {step}: {result}")
    return result


server = HTTPServer(("127.0.0.1", 0), Callback)
threading.Thread(target=server.serve_forever, daemon=True).start()
control("corps", {"corp": CORP, "callbackUrl": f"http://127.0.0.1:{server.server_port}/callback"})

verification = shown("verification", control("verify", {"corp": CORP})["verification"])
assert verification == "passed"

client = WeChatClient(CORP, SECRET)
client.API_BASE_URL = WECOM + "/cgi-bin/"
shown("token", f"{len(client.access_token)} characters, good until {client.expires_at}")
accounts = shown("list", client.kf.get_account_list()["account_list"])
assert [account["open_kfid"] for account in accounts] == [ACCOUNT]

delivery = control("messages", {"corp": CORP, "openKfId": ACCOUNT, "customer": "Ling", "text": "你好"})["delivery"]
assert shown("callback", delivery) == {"sent": ["accepted"]}
event = events.get(timeout=5)
assert (event["Event"], event["OpenKfId"]) == ("kf_msg_or_event", ACCOUNT)

page = client.kf.sync_msg(event["Token"])
message = shown("sync", page["msg_list"])[0]
assert (message["text"]["content"], page["has_more"]) == ("你好", 0)

client.kf_message.send_text(message["external_userid"], ACCOUNT, "您好")
with urllib.request.urlopen(f"{WECOM}/simulator/answers?customer=Ling") as answer:
    assert shown("send", json.loads(answer.read())[-1]["text"]) == "您好"

picture = io.BytesIO(b"\x89PNG and what follows")
picture.name = "picture.png"
media = shown("upload", client.media.upload("image", picture))["media_id"]
downloaded = client.media.download(media)
assert shown("download", downloaded.content) == picture.getvalue()
assert downloaded.headers["content-disposition"] == 'attachment; filename="picture.png"'
print("wechatpy: ok")
