"""Log lines as well-known programs write them, without any credential: for what must not be taken for one."""

# ruff: noqa: E501 - a line of a log is as long as it is
import base64
import random
from collections.abc import Callable, Iterator
from typing import Final

_FORMS: Final = (
    '10.244.{d}.{d} - - [26/Nov/2026:10:{m}:{m} +0000] "GET /api/v1/items/{n}?page={d} HTTP/1.1" 200 {n} "-" "Mozilla/5.0"',
    '10.244.{d}.{d} - - [26/Nov/2026:10:{m}:{m} +0000] "POST /login HTTP/1.1" 302 {d} "https://shop.example.com/" "curl/8.5.0"',
    'I1126 10:{m}:{m}.{n}       1 httplog.go:132] "HTTP" verb="LIST" URI="/api/v1/secrets?limit=500" latency="{d}.{d}ms" resp=200',
    "I1126 10:{m}:{m}.{n}       1 controller.go:{d}] quota admission added evaluator for: serviceaccounts",
    'W1126 10:{m}:{m}.{n}       1 reflector.go:561] failed to list *v1.Secret: secrets is forbidden: User "system:node:n{d}" cannot list',
    'E1126 10:{m}:{m}.{n}       1 kubelet.go:{n}] "Failed to retrieve secret" err="secret \\"web-tls\\" not found" pod="shop/web-{h}"',
    'I1126 10:{m}:{m}.{n}  123 reconciler.go:{d}] operationExecutor.MountVolume started for volume "kube-api-access-{s}" (UniqueName: "kubernetes.io/projected/{u}-kube-api-access-{s}") pod "web-{d}"',
    '{{"level":"info","ts":"2026-11-26T10:{m}:{m}.{d}Z","caller":"etcdserver/server.go:{n}","msg":"applied incremental snapshot","index":{n},"hash":"{h}"}}',
    '{{"level":"warn","ts":"2026-11-26T10:{m}:{m}Z","msg":"apply request took too long","took":"{d}.{d}ms","expected-duration":"100ms","prefix":"read-only range ","request":"key:\\"/registry/secrets/shop/web\\""}}',
    '[INFO] 10.244.{d}.{d}:{n} - {n} "A IN db.shop.svc.cluster.local. udp 53 false 512" NOERROR qr,aa,rd 104 0.000{n}s',
    "2026-11-26 10:{m}:{m}.{d} UTC [{n}] LOG:  checkpoint complete: wrote {n} buffers ({d}.{d}%); write={d}.{d} s, sync=0.{d} s",
    '2026-11-26 10:{m}:{m}.{d} UTC [{n}] FATAL:  password authentication failed for user "shop"',
    '2026-11-26 10:{m}:{m}.{d} UTC [{n}] DETAIL:  Connection matched pg_hba.conf line {d}: "host all all all scram-sha-256"',
    "1:M 26 Nov 2026 10:{m}:{m}.{d} * DB saved on disk; {n} keys in {d} tokens",
    "\tat org.springframework.security.web.authentication.UsernamePasswordAuthenticationFilter.doFilter(UsernamePasswordAuthenticationFilter.java:{d})",
    "\tat com.example.auth.TokenProvider.validateToken(TokenProvider.java:{d}) ~[classes!/:na]",
    "io.jsonwebtoken.ExpiredJwtException: JWT expired at 2026-11-26T10:{m}:{m}Z. Current time: 2026-11-26T10:{m}:{m}Z",
    "goroutine {n} [running]:",
    "github.com/example/shop/internal/auth.(*TokenSource).Token(0xc000{h}, {{0x{h}, 0xc000{h}}})",
    "\t/go/pkg/mod/golang.org/x/oauth2@v0.{d}.0/token.go:{d} +0x{h}",
    '  File "/usr/lib/python3.11/site-packages/requests/auth.py", line {d}, in __call__',
    "    raise InvalidTokenError('token is invalid or expired')",
    '{{"level":30,"time":17{n}{n},"pid":{d},"hostname":"web-{h}","req":{{"id":{d},"method":"GET","url":"/users/{u}"}},"msg":"request completed"}}',
    '[2026-11-26T10:{m}:{m}.{n}Z] "GET /v1/tokens/count HTTP/2" 200 - via_upstream - "-" 0 {n} {d} {d} "10.0.0.{d}" "okhttp/4.9" "{u}" "shop" "10.244.1.{d}:8080" inbound|8080||',
    "commit {h}{h}{h}{h}{h}  build {n} passed",
    "Pulling image registry.example.com/shop/web@sha256:{h}{h}{h}{h}{h}{h}{h}{h}",
    'etag: W/"{b}" x-request-id: {u} resourceVersion={n} trace_id={h}{h}{h}{h} span_id={h}{h}',
    'level=info ts=2026-11-26T10:{m}:{m}.{n}Z caller=main.go:{d} component="scrape manager" msg="Starting WAL watcher" queue={h}',
    'time="2026-11-26T10:{m}:{m}Z" level=info msg="refreshing app status" application=argocd/shop-{d} comparison-level={d}',
    "cert-manager/certificates-issuing: issued certificate, secretName=web-tls-{d} namespace=shop revision={d}",
    "external-secrets: reconciled secret, SecretStore=vault ns=shop secretKey=db remoteRef=kv/data/shop tookMs={d}",
    "max_tokens={n} prompt_tokens={n} completion_tokens={d} total_tokens: {n} model=gpt-{d}",
    "session {u} opened for user shop by (uid={d}); pam_unix(sshd:session)",
    "GET https://example.com:8443/path@v1.{d}?x={n} 200 OK",
    "bucket=shop key=backups/2026/{m}/db-{n}.dump.gz size={n} sha256={h}{h}{h}{h}{h}{h}{h}{h}",
    "rotated keys: {d} active, {d} retired, next rotation in {d}h",
    "password policy: min length {d}, expires after {d} days; passwordPolicy=strict",
    "csrf check passed for /cart; cookies accepted: {d}",
)
_DIGITS: Final = "0123456789abcdef"


def ordinary_lines(count: int, seed: int = 7) -> Iterator[str]:
    """So many lines, the same for the same seed."""
    source = random.Random(seed)

    def some(alphabet: str, length: int) -> str:
        return "".join(source.choices(alphabet, k=length))

    for number in range(count):
        form = _FORMS[number % len(_FORMS)]
        line = form.replace("{{", "\0").replace("}}", "\1")
        makers: tuple[tuple[str, Callable[[], str]], ...] = (
            ("{d}", lambda: str(source.randrange(1, 250))),
            ("{m}", lambda: f"{source.randrange(60):02}"),
            ("{n}", lambda: str(source.randrange(1000, 99_999))),
            ("{h}", lambda: some(_DIGITS, 8)),
            ("{s}", lambda: some("bcdfghjklmnpqrstvwxz2456789", 5)),
            ("{u}", lambda: "-".join(some(_DIGITS, length) for length in (8, 4, 4, 4, 12))),
            ("{b}", lambda: base64.b64encode(source.randbytes(12)).decode()),
        )
        for sign, make in makers:
            while sign in line:
                line = line.replace(sign, make(), 1)
        yield line.replace("\0", "{").replace("\1", "}")
