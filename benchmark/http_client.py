"""A client in a process of its own, so that its work is not counted as the server's: `http_layer` tells it
on stdin what to ask, a line of JSON each, and reads from stdout how many bytes the answers had."""

import http.client
import json
import sys


def main() -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        received = 0
        for _ in range(asked["times"]):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", asked["path"], json.dumps(asked["body"]), headers)
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status == asked["status"], data
            received += len(data)
        print(received, flush=True)


if __name__ == "__main__":
    main()
