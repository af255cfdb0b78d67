/* A case as something to run. Every form signs anew through "obs-conformance sign"; none of them holds a secret. */
function plain(head) {
  const [first, ...rest] = head.split("\r\n\r\n")[0].split("\r\n");
  const [method, target] = first.split(" ");
  const headers = rest.filter(Boolean).map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  return { first, method, target, headers, lines: rest };
}
function bucketOf(request) {
  const host = (request.headers.find(([name]) => name.toLowerCase() === "host") || ["", ""])[1];
  return META.addressing === "virtual-host" ? host.split(".")[0] : request.target.split(/[/?]/)[1];
}
function scene(item) {
  const steps = item.exchanges.map((exchange) => ({ exchange, request: plain(exchange.sent.head), how: (exchange.signed || {}).how, by: (exchange.signed || {}).by || "owner" }));
  const buckets = [...new Set(steps.map((step) => bucketOf(step.request)))];
  const objects = [...new Set(steps.filter((step) => step.request.method === "PUT" || step.request.method === "POST").map((step) => step.request.target.split("?")[0]))]
    .filter((path) => path.replace(/^\/|\/$/g, "") && !buckets.includes(path.replace(/^\/|\/$/g, "")));
  return { steps, buckets, objects };
}
function impossible(item, form) {
  if (!item.exchanges.length) return "why_nothing_sent";
  const { steps } = scene(item);
  if (steps.some((step) => !step.how)) return "why_unknown";
  if (steps.some((step) => step.how === "key-service")) return "why_key_service";
  if (steps.some((step) => step.how === "altered" || step.how === "form")) return "why_altered";
  if (steps.some((step) => step.exchange.sent.body.length < step.exchange.sent.body_size && !step.exchange.sent.made)) return "why_body";
  if (steps.some((step) => /[?&](uploadId|versionId)=/.test(step.request.target))) return "why_learnt";
  if (form !== "raw" && steps.some((step) => step.request.headers.some(([name]) => /^transfer-encoding$/i.test(name)))) return "why_chunked";
  const names = (step) => step.request.headers.map(([name]) => name.toLowerCase());
  if (form === "python" && steps.some((step) => new Set(names(step)).size < names(step).length)) return "why_repeated";
  if (form !== "raw" && steps.some((step) => step.request.lines.some((line) => /^[ \t]/.test(line)))) return "why_folded";
  return "";
}
/* In another dialect the requests have its words already; what signs them, and what a signature covers, is its own too. */
const FOREIGN = META.dialect !== "obs";
const DATE = FOREIGN ? "x-amz-date" : "x-obs-date";
const MADE_ANEW = new Set(["host", "date", "authorization", "content-length", DATE, ...(FOREIGN ? ["x-amz-content-sha256"] : [])]);
const OF_THE_SIGNATURE = FOREIGN ? /^(AWSAccessKeyId|Expires|Signature|X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature))=/ : /^(AccessKeyId|Expires|Signature)=/;
function ownHeaders(request) { return request.headers.filter(([name]) => !MADE_ANEW.has(name.toLowerCase())); }
function dated(request) { return request.headers.some(([name]) => name.toLowerCase() === DATE) && !request.headers.some(([name, value]) => /^authorization$/i.test(name) && value.startsWith("AWS4-")); }
function unsigned(target) {
  const [path, query] = target.split("?");
  const left = (query || "").split("&").filter((part) => part && !OF_THE_SIGNATURE.test(part));
  return left.length ? path + "?" + left.join("&") : path;
}

/* bash: single quotes, or $'…' where a byte is not printable; bucket names become variables. */
function quoted(text, buckets) {
  let parts = [text];
  buckets.forEach((bucket, at) => {
    parts = parts.flatMap((part) => (typeof part !== "string" ? [part] : part.split(bucket).flatMap((piece, index) => (index ? [at, piece] : [piece]))));
  });
  const one = (part) => (typeof part === "number" ? `"$BUCKET${part || ""}"` : /^[\x20-\x7e]*$/.test(part) ? "'" + part.replace(/'/g, "'\\''") + "'"
    : "$'" + part.replace(/[^\x20-\x7e]|['\\]/g, (unit) => "\\x" + (unit.charCodeAt(0) & 0xff).toString(16).padStart(2, "0")) + "'");
  return parts.filter((part) => part !== "").map(one).join("") || "''";
}
function bodyCommand(message, buckets, file) {
  if (message.made) return `python3 -c 'import hashlib,sys; sys.stdout.buffer.write(hashlib.shake_128(sys.argv[1].encode()).digest(${Number(message.made.size)}))' ${quoted(message.made.label, [])} > ${file}`;
  return /^[\x09\x0a\x0d\x20-\x7e]*$/.test(message.body)
    ? `printf '%s' ${quoted(message.body, buckets)} > ${file}`
    : `printf '%s' '${btoa(message.body)}' | base64 -d > ${file}`;
}
function shellOpening(item, buckets) {
  const line = (text) => visible(text).replace(/\n/g, " ");
  return ["#!/usr/bin/env bash", `# ${line(item.id)}: ${line(item.says)}`, "# " + T("code_needs"), "set -eu",
    "cd \"$(mktemp -d)\"", `ENDPOINT=\${ENDPOINT:-${quoted(META.endpoint, [])}}`,
    ...buckets.map((bucket, at) => `BUCKET${at || ""}=\${BUCKET${at || ""}:-${quoted(bucket, [])}}  # ${T("code_bucket")}`), "",
    "obs() {  # METHOD URL", `  curl -sS -g --path-as-is -o ignored -X "$1" -H 'Content-Length: 0' -H @<(obs-conformance sign "$1" "$2"${signOptions()}${bodyOption("/dev/null")}) "$2"`, "}"];
}
function hostOption() { return META.addressing === "virtual-host" ? " --virtual-host" : ""; }
function signOptions() {
  return hostOption() + (FOREIGN ? " --dialect " + quoted(META.dialect, []) + (META.region ? " --region " + quoted(META.region, []) : "") : "");
}
function bodyOption(file) { return FOREIGN ? " --body " + file : ""; }
function place(path, at) {
  return META.addressing === "virtual-host" ? `"\${ENDPOINT/:\\/\\//://$BUCKET${at || ""}.}"${path}` : `"$ENDPOINT"${path}`;
}
function bucketUrl(at) { return META.addressing === "virtual-host" ? place("/", at) : `"$ENDPOINT/$BUCKET${at || ""}"`; }
function shellClosing(item, { steps, buckets, objects }) {
  const configured = steps.some((step) => /\?policy$/.test(step.request.target));
  return ["", "# " + T("code_cleanup"),
    ...(configured ? buckets.map((_, at) => `obs DELETE ${bucketUrl(at)}'?policy'`) : []),
    ...objects.map((path) => `obs DELETE ${place(quoted(path, buckets), 0)}`),
    ...buckets.map((_, at) => `obs DELETE ${bucketUrl(at)}`), ""];
}
function identityOption(by) { return by === "owner" ? "" : " --identity " + quoted(by, []); }

function asCurl(item) {
  const why = impossible(item, "curl");
  if (why) return { text: null, why };
  const set = scene(item), { steps, buckets } = set;
  const out = [...shellOpening(item, buckets), "", ...buckets.map((_, at) => `obs PUT ${bucketUrl(at)}`)];
  steps.forEach(({ exchange, request, how, by }, at) => {
    const file = `body-${at + 1}`, url = place(quoted(unsigned(request.target), buckets), buckets.indexOf(bucketOf(request)));
    const headers = ownHeaders(request).map(([name, value]) => "-H " + quoted(value ? `${name}: ${value}` : `${name};`, buckets));
    if (dated(request)) headers.push(`-H "${DATE}: ` + '$(LC_ALL=C date -u \'+%a, %d %b %Y %H:%M:%S GMT\')"');
    out.push("", `echo ${quoted("== " + exchange.step, [])}`);
    if (exchange.sent.body_size) out.push(bodyCommand(exchange.sent, buckets, file));
    out.push(`headers=(${headers.join(" ")})`, `url=${url}`);
    const options = `"\${headers[@]}"${signOptions()}${identityOption(by)}`;
    if (how === "url") out.push(`url=$(obs-conformance sign ${request.method} "$url" --as-url ${options})`);
    const covered = bodyOption(exchange.sent.body_size ? file : "/dev/null");
    const auth = how === "header" ? ` -H @<(obs-conformance sign ${request.method} "$url" ${options}${covered})` : "";
    const typed = request.headers.some(([name]) => name.toLowerCase() === "content-type");
    const body = exchange.sent.body_size ? ` --data-binary @${file}${typed ? "" : " -H 'Content-Type:'"}` : request.method === "PUT" || request.method === "POST" ? " -H 'Content-Length: 0'" : "";
    const method = request.method === "HEAD" ? "--head" : `-X ${request.method} -D -`;
    out.push(`curl -sS -g --path-as-is ${method} "\${headers[@]}"${auth}${body}${request.method === "HEAD" ? "" : " -o answer-" + (at + 1)} "$url"`);
  });
  return { text: [...out, ...shellClosing(item, set)].join("\n"), why: "" };
}

function asRaw(item) {
  const why = impossible(item, "raw");
  if (why) return { text: null, why };
  const set = scene(item), { steps, buckets } = set;
  const out = [...shellOpening(item, buckets), "HOST=${ENDPOINT#*://}", "",
    "send() {  # FILE: " + T("code_send"), "  obs-conformance sign --raw \"$1\"" + signOptions() + " ${2:+--identity \"$2\"} > signed",
    "  case $ENDPOINT in",
    "    https:*) case $HOST in *:*) at=$HOST ;; *) at=$HOST:443 ;; esac; openssl s_client -quiet -connect \"$at\" < signed ;;",
    "    *) case $HOST in *:*) port=${HOST##*:} ;; *) port=80 ;; esac",
    "       exec 3<>\"/dev/tcp/${HOST%:*}/$port\"; cat signed >&3; cat <&3 | tee answer | head -c 4096 | LC_ALL=C tr -cd '\\t\\n\\r -~'; exec 3>&- ;;",
    "  esac", "}", "", ...buckets.map((_, at) => `obs PUT ${bucketUrl(at)}`)];
  const recorded = META.endpoint.replace(/^.*:\/\//, "");
  steps.forEach(({ exchange, request, by }, at) => {
    const file = `body-${at + 1}`;
    const closing = request.headers.some(([name]) => name.toLowerCase() === "connection") ? [] : ["Connection: close"];
    const lines = [request.first, ...request.lines.filter(Boolean), ...closing].map((line) =>
      quoted(line, [...buckets]).split(recorded).join("'\"$HOST\"'"));
    out.push("", `echo ${quoted("== " + exchange.step, [])}`);
    if (exchange.sent.body_size) out.push(bodyCommand(exchange.sent, buckets, file));
    out.push(`{ printf '%s\\r\\n' \\`, ...lines.map((line) => `    ${line} \\`), "    ''", `  ${exchange.sent.body_size ? "cat " + file : ":"}; } > request-${at + 1}`,
      `send request-${at + 1}${by === "owner" ? "" : " " + quoted(by, [])}`, "echo");
  });
  return { text: [...out, ...shellClosing(item, set)].join("\n"), why: "" };
}

function asPython(item) {
  const why = impossible(item, "python");
  if (why) return { text: null, why };
  const { steps, buckets, objects } = scene(item);
  const say = (text) => JSON.stringify(text).replace(/[^\x20-\x7e]/g, (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"));
  const here = (text) => (buckets.some((bucket) => text.includes(bucket)) ? `here(${say(text)})` : say(text));
  const spoken = FOREIGN ? ["--dialect", META.dialect, ...(META.region ? ["--region", META.region] : []), "--body", "-"] : [];
  const option = [...(META.addressing === "virtual-host" ? ["--virtual-host"] : []), ...spoken].map((word) => say(word) + ", ").join("");
  const base = (at) => (META.addressing === "virtual-host" ? `ENDPOINT.replace("://", "://" + BUCKETS[${say(buckets[at])}] + ".")` : "ENDPOINT");
  const out = [`# ${visible(item.id).replace(/\n/g, " ")}: ${visible(item.says).replace(/\n/g, " ")}`, "# " + T("code_needs"),
    "import base64, hashlib, os, subprocess, time", "from email.utils import formatdate", "import requests", "",
    `ENDPOINT = os.environ.get("ENDPOINT", ${say(META.endpoint)})`,
    `BUCKETS = {${buckets.map((bucket, at) => `${say(bucket)}: os.environ.get("BUCKET${at || ""}", ${say(bucket)})`).join(", ")}}`, "",
    "def here(text):", "    for recorded, bucket in BUCKETS.items():", "        text = text.replace(recorded, bucket)", "    return text", "",
    "def sign(method, url, headers, body, *options):",
    '    lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]',
    `    command = ["obs-conformance", "sign", method, url, *lines, ${option}*options]`,
    "    return subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True).stdout.decode().strip()", "",
    'def send(step, method, url, headers={}, body=b"", how="header", by="owner"):', "    headers = dict(headers)",
    '    if how == "url":', '        url = sign(method, url, headers, body, "--as-url", "--identity", by)',
    '    if how == "header":', '        for line in sign(method, url, headers, body, "--identity", by).splitlines():',
    '            name, _, value = line.partition(": ")', "            headers[name] = value",
    "    answer = requests.request(method, url, headers=headers, data=body, allow_redirects=False, timeout=30)",
    '    print("==", step, "\\n", answer.status_code, answer.reason)',
    "    for name, value in answer.headers.items():", '        print(f"{name}: {value}")', "    return answer", "",
    ...buckets.map((bucket, at) => `send("bucket", "PUT", ${META.addressing === "virtual-host" ? base(at) + ' + "/"' : `ENDPOINT + here(${say("/" + bucket)})`})`)];
  for (const { exchange, request, how, by } of steps) {
    const headers = ownHeaders(request).map(([name, value]) => `${say(name)}: ${here(value)}`);
    if (dated(request)) headers.push(say(DATE) + ": formatdate(usegmt=True)");
    const message = exchange.sent;
    const body = message.made ? `hashlib.shake_128(${say(message.made.label)}.encode()).digest(${Number(message.made.size)})`
      : !message.body ? 'b""' : /^[\x09\x0a\x0d\x20-\x7e]*$/.test(message.body) ? here(message.body) + ".encode()" : `base64.b64decode("${btoa(message.body)}")`;
    out.push(`send(${say(exchange.step)}, ${say(request.method)}, ${base(buckets.indexOf(bucketOf(request)))} + ${here(unsigned(request.target))},`,
      `     {${headers.join(", ")}}, ${body}, ${say(how)}, ${say(by)})`);
  }
  out.push("", "# " + T("code_cleanup"));
  if (steps.some((step) => /\?policy$/.test(step.request.target))) buckets.forEach((bucket, at) => out.push(`send("clean-up", "DELETE", ${base(at)} + here(${say(META.addressing === "virtual-host" ? "/?policy" : "/" + bucket + "?policy")}))`));
  for (const path of objects) out.push(`send("clean-up", "DELETE", ${base(0)} + ${here(path)})`);
  buckets.forEach((bucket, at) => out.push(`send("clean-up", "DELETE", ${base(at)} + ${here(META.addressing === "virtual-host" ? "/" : "/" + bucket)})`));
  return { text: out.join("\n") + "\n", why: "" };
}

function asYaml(item) {
  if (!item.source) return { text: null, why: "why_no_source" };
  const row = item.id.includes("/") ? " --select " + quoted(item.id, []) : "";
  return { text: `# obs-conformance run --cases case.yaml${row} --target target.toml\n` + item.source, why: "" };
}
const FORMS = { curl: asCurl, raw: asRaw, python: asPython, yaml: asYaml };
