"""Chromium without a window, spoken to over two pipes (the DevTools protocol): no port, nothing fetched, nothing left behind."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Mismatch, expect


def program():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page; used in a with statement. `problems` gathers what the console was told, `asked` what was fetched."""

    def __init__(self):
        self.problems, self.asked, self.number, self.pending = [], [], 0, b""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="mlgate-browser-", ignore_cleanup_errors=True)
        to_read, self.to = os.pipe()
        self.source, from_write = os.pipe()
        saved = {}
        for want, have in ((3, to_read), (4, from_write)):  # the browser's own numbers for the two ends
            saved[have] = want
        command = [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
                   "--hide-scrollbars", f"--user-data-dir={self.home.name}", "--remote-debugging-pipe", "about:blank"]
        shell = ["/bin/sh", "-c", f'exec 3<&{to_read} 4>&{from_write}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(shell, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        pass_fds=(to_read, from_write), start_new_session=True)
        os.close(to_read)
        os.close(from_write)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.close(self.to)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own session: what it started goes with it
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.source)
        self.home.cleanup()

    def receive(self, end):
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.source], [], [], max(0, end - time.monotonic()))
            expect(ready, "the browser does not answer")
            more = os.read(self.source, 1 << 20)
            expect(more, "the browser is gone")
            self.pending += more
        text, self.pending = self.pending.split(b"\0", 1)
        return json.loads(text)

    def note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(json.dumps(params)[:500])

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        end = time.monotonic() + 60
        while True:
            answer = self.receive(end)
            if answer.get("id") == self.number:
                expect("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]
            self.note(answer)

    def open(self, path):
        self.call("Page.navigate", url="file://" + path)
        end = time.monotonic() + 60
        while self.value("document.readyState") != "complete" or self.value("location.protocol") != "file:":
            expect(time.monotonic() < end, "the page does not load")
            time.sleep(0.05)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Mismatch(f"{expression}: {json.dumps(result['exceptionDetails'])[:400]}")
        return result["result"].get("value")

    def press(self, key, text=None):
        """As a person does; text: what the key writes."""
        codes = {"Escape": 27, "Enter": 13, "Tab": 9}
        more = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
        text = {"text": "\r"} if key == "Enter" else {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **more, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, **more)

    def type(self, text):
        for letter in text:
            self.press(letter, letter)

    def look(self, scheme, path=None, width=1100, height=900):
        """Chooses light or dark, and takes a picture."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        picture = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            with open(path, "wb") as file:
                file.write(picture)
        return picture
