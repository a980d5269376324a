"""A service that takes a corp's events, made with the Standard Webhooks library.

    python3 tests/simulator/standard_webhooks_app.py SECRET openapi/openapi.json

Says where it listens, and of each event whether the library takes its signature. What is JSON must also
be valid by the document's schema.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from jsonschema import Draft202012Validator
from standardwebhooks import Webhook, WebhookVerificationError

SECRET, DOCUMENT = sys.argv[1:]

webhook = Webhook(SECRET)
with open(DOCUMENT, encoding="utf-8") as document:
    components = json.load(document)["components"]
schema = Draft202012Validator({"$ref": "#/components/schemas/Webhook", "components": components})


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            said, status = self.take(body), 204
        except WebhookVerificationError as error:
            said, status = f"refused: {error}", 401
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()
        print(said, flush=True)

    def take(self, body):
        is_json = self.headers["content-type"].startswith("application/json")
        event = webhook.verify(body, dict(self.headers), json_parse=is_json)
        if event is None:
            return f"taken: {self.headers['webhook-id']} as {self.headers['content-type']}"
        for fault in schema.iter_errors(event):
            return f"not by the schema: {fault.message}"
        if event["id"] != self.headers["webhook-id"]:
            return f"{event['id']} is not {self.headers['webhook-id']}"
        return f"taken: {event['id']} {event['event']}"

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Service)
print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
