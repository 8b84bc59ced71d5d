"""Scripts in a browser that take their time: a page is opened from the disk, as by a reader, and sends its answer."""
import http.server
import json
import queue
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

CHROMIUM = next((p for p in map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')) if p), None)
FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--enable-logging=stderr',
         '--window-size=1400,1000']
SENDS = '''<script>
const answer = what => fetch("http://127.0.0.1:%d", {method: "POST", mode: "no-cors", body: JSON.stringify(what)});
addEventListener("error", e => answer({error: e.message}));
addEventListener("unhandledrejection", e => answer({error: String(e.reason)}));
</script>'''


def listening(answers):
    "A server that puts what is sent to it into a queue."
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            answers.put(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
            self.send_response(204)
            self.end_headers()
        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def answered(page: Path, html: str, script: str, seconds: float = 120):
    """Write the page, with a script that calls `answer(...)` once, and open it: what it answers, and its console."""
    answers = queue.Queue()
    server = listening(answers)
    page.write_text(SENDS % server.server_port + html + f'<script>(async () => {{{script}}})()</script>')
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as d, open(f'{d}/console', 'w+') as console:
        p = subprocess.Popen([CHROMIUM, *FLAGS, f'--user-data-dir={d}/profile', page.as_uri()], stderr=console,
                             stdout=subprocess.DEVNULL)
        try:
            said = answers.get(timeout=seconds)
        finally:
            p.terminate()
            p.wait(20)
            server.shutdown()
            page.unlink()
            console.seek(0)
            lines = [l for l in console.read().splitlines() if 'CONSOLE' in l]
    assert 'error' not in said, said
    return said, lines
