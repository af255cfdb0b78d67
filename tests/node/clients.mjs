// What the vendor's Node SDK does against a server, told as facts: one JSON line each, `{"fact": name, "got": value}`.
//
// It reads its settings from standard input and judges nothing; the judging is the test's. Answers without what was
// asked for become facts without it, so that one fault does not hide the facts behind it. The SDK runs unchanged, in
// virtual-host style; only the name of its endpoint is looked up here, since no resolver knows it, and every request
// head it writes is kept, since what the SDK really sends is part of what is proved.

import { createReadStream, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable } from "node:stream";

const require = createRequire(import.meta.url);
const http = require("node:http");
const ObsClient = require("esdk-obs-nodejs");

const settings = JSON.parse(readFileSync(0, "utf8"));
const { host, port, folder, bare, long, region } = settings;

function lookup(name, options, callback) {
  if (options.all) callback(null, [{ address: "127.0.0.1", family: 4 }]);
  else callback(null, "127.0.0.1", 4);
}
const agent = new http.Agent({ keepAlive: true, maxSockets: 4, lookup });

const Bucket = "node-sdk-bucket";
const heads = [];
const honest = http.request;
http.request = (options) => {
  const request = honest(options);
  request.once("finish", () => heads.push(request._header));
  return request;
};

/** The last request head the SDK wrote: its request line and its lower-cased headers. */
function sent() {
  const [line, ...lines] = heads.at(-1).trimEnd().split("\r\n");
  const pairs = lines.map((text) => /^([^:]*): (.*)$/.exec(text).slice(1));
  return { line, ...Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value])) };
}

/** A client; it finishes its own construction a moment after its constructor returns. */
async function connect(secret) {
  const made = new ObsClient({
    access_key_id: settings.access_key,
    secret_access_key: secret,
    server: `http://${host}:${port}`,
    http_agent: agent,
    max_retry_count: 0,
  });
  await new Promise(setImmediate);
  return made;
}
const client = await connect(settings.secret_key);

const same = (got, wanted) => got !== undefined && Buffer.from(got).equals(wanted);
const saved = (path) => (existsSync(path) ? readFileSync(path) : undefined);
const fact = (name, got) => console.log(JSON.stringify({ fact: name, got: got ?? null }));

/** Call the SDK about the one bucket; its answer with the status and code beside the fields of the result. */
async function ask(method, parameters = {}) {
  const answer = await client[method]({ Bucket, ...parameters });
  const common = answer.CommonMsg;
  return { status: common.Status, code: common.Code || "", ...answer.InterfaceResult };
}

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** A plain request without the SDK, to a URL or form the SDK signed. */
function fetchPlain(method, url, headers = {}, body = "") {
  return new Promise((resolve, reject) => {
    const { hostname, pathname, search } = new URL(url);
    const request = honest({ agent, method, host: hostname, port, path: pathname + search, headers }, (answer) =>
      collect(answer).then((bytes) => resolve({ status: answer.statusCode, headers: answer.headers, bytes }), reject),
    );
    request.once("error", reject);
    request.end(body);
  });
}

const small = Buffer.from("the body of an object, more or less ".repeat(200));
const large = Buffer.alloc(3 * 1024 * 1024 + 17, "0123456789abcdef");
const largeFile = join(folder, "large.bin");
writeFileSync(largeFile, large);
const encryption = (answer) => [answer.status, answer.SseKms, answer.SseKmsKey];

// ---- buckets --------------------------------------------------------------------------------------------------------

fact("negotiation_and_creation", [
  (await ask("createBucket", { Location: region })).status,
  heads.map((text) => text.split(" HTTP/")[0]),
]);
fact("host_without_port", sent().host);
fact("head_bucket", (await ask("headBucket")).status);
fact("head_bucket_that_is_not_there", (await ask("headBucket", { Bucket: "no-such-bucket" })).status);
fact("buckets_are_listed", (await ask("listBuckets")).Buckets?.map((entry) => [entry.BucketName, entry.Location]));
fact("location", (await ask("getBucketLocation")).Location);

// ---- objects under a master key -------------------------------------------------------------------------------------

for (const [form, key] of [["default", undefined], ["bare", bare], ["long", long]]) {
  const Key = `up/${form}`;
  const parameters = { Key, Body: small.toString(), SseKms: "kms" };
  if (key) parameters.SseKmsKey = key;
  const stored = await ask("putObject", parameters);
  const head = await ask("getObjectMetadata", { Key });
  const got = await ask("getObject", { Key });
  fact(`string_under_${form}_key`, [stored.status, stored.SseKms, same(got.Content, small)]);
  fact(`${form}_key_is_named_alike_by_put_head_and_get`, [
    key ? stored.SseKmsKey : stored.SseKmsKey?.startsWith(long.split(":key/")[0]),
    new Set([stored, head, got].map((answer) => JSON.stringify([answer.SseKms, answer.SseKmsKey, answer.ETag]))).size,
  ]);
}
await ask("putObject", { Key: "typed.txt", Body: "text", ContentType: "text/plain" });
fact("content_type_is_forced_by_the_sdk", [
  sent()["content-type"],
  (await ask("getObjectMetadata", { Key: "typed.txt" })).ContentType,
]);

let stored = await ask("putObject", {
  Key: "stream",
  Body: Readable.from([small, small]),
  SseKms: "kms",
  SseKmsKey: bare,
});
const streamHead = sent();
let got = await ask("getObject", { Key: "stream", SaveAsStream: true });
fact("stream_is_sent_chunked", [
  streamHead["transfer-encoding"],
  streamHead["content-length"] ?? null,
  ...encryption(stored),
]);
fact("stream_is_read_back_as_stream", same(got.Content && (await collect(got.Content)), Buffer.concat([small, small])));

stored = await ask("putObject", { Key: "file.bin", SourceFile: largeFile, SseKms: "kms", SseKmsKey: long });
fact("file_is_sent_chunked", [sent()["transfer-encoding"], ...encryption(stored)]);
const target = join(folder, "saved.bin");
fact("file_is_saved", [
  (await ask("getObject", { Key: "file.bin", SaveAsFile: target })).status,
  same(saved(target), large),
]);

stored = await ask("putObject", {
  Key: "slice.bin",
  Body: createReadStream(largeFile, { start: 5 }),
  ContentLength: 1000,
  SseKms: "kms",
});
const sliceHead = sent();
got = await ask("getObject", { Key: "slice.bin" });
fact("stream_with_a_length", [
  sliceHead["content-length"] ?? null,
  stored.status,
  same(got.Content, large.subarray(5, 1005)),
]);

got = await ask("getObject", { Key: "file.bin", Range: "bytes=65530-65545" });
fact("range", [got.status, got.ContentLength, got.Content?.toString(), got.SseKms]);
fact("unchanged", (await ask("getObject", { Key: "file.bin", IfNoneMatch: got.ETag ?? "none" })).status);
got = await ask("getObject", { Key: "file.bin", IfMatch: "none" });
fact("precondition", [got.status, got.code]);
got = await ask("getObject", { Key: "stream", ResponseContentType: "text/x-changed" });
fact("overridden_content_type", got.ContentType);

for (const [label, Key] of [["blanks", "a b+c"], ["han", "键/值"], ["marks", "~!*'()"], ["percent", "a%2Fb"]]) {
  const put = await ask("putObject", { Key: `names/${Key}`, Body: Key });
  const read = await ask("getObject", { Key: `names/${Key}` });
  fact(`name_with_${label}`, [put.status, read.Content?.toString() === Key]);
}
await ask("putObject", { Key: "described", Body: "x", Metadata: { author: "键 & wert" }, CacheControl: "no-cache" });
got = await ask("getObjectMetadata", { Key: "described" });
fact("metadata", [got.Metadata, got.CacheControl ?? null]);

// ---- copies ---------------------------------------------------------------------------------------------------------

for (const [form, key] of [["bare", bare], ["long", long]]) {
  const copied = await ask("copyObject", {
    Key: `copies/${form}`,
    CopySource: `${Bucket}/names/a b+c`,
    SseKms: "kms",
    SseKmsKey: key,
  });
  got = await ask("getObject", { Key: `copies/${form}` });
  fact(`copy_under_${form}_key`, [
    ...encryption(copied),
    got.Content?.toString(),
    Boolean(copied.LastModified),
    copied.ETag === got.ETag,
  ]);
}
fact("copy_source_as_sent", /x-obs-copy-source: (.*)\r\n/i.exec(heads.at(-2))?.[1]);
got = await ask("copyObject", {
  Key: "described",
  CopySource: `${Bucket}/described`,
  MetadataDirective: "REPLACE",
  Metadata: { author: "b" },
});
fact("copy_onto_itself_replaces_metadata", [
  got.status,
  (await ask("getObjectMetadata", { Key: "described" })).Metadata,
]);

// ---- customer keys --------------------------------------------------------------------------------------------------

const SseCKey = "01234567890123456789012345678901";
stored = await ask("putObject", { Key: "sse-c", Body: "secret", SseC: "AES256", SseCKey });
fact("customer_key", [
  stored.status,
  stored.SseC,
  (await ask("getObject", { Key: "sse-c", SseC: "AES256", SseCKey })).Content?.toString(),
]);
fact("customer_key_is_missing", (await ask("getObject", { Key: "sse-c" })).status);

// ---- parts ----------------------------------------------------------------------------------------------------------

const Key = "parts.bin";
const begun = await ask("initiateMultipartUpload", { Key, SseKms: "kms", SseKmsKey: bare });
fact("upload_is_initiated", [...encryption(begun), begun.Bucket, begun.Key]);
const UploadId = begun.UploadId;
const half = 2 * 1024 * 1024;
const first = await ask("uploadPart", {
  Key,
  UploadId,
  PartNumber: 1,
  SourceFile: largeFile,
  Offset: 0,
  PartSize: half,
});
const second = await ask("uploadPart", {
  Key,
  UploadId,
  PartNumber: 2,
  Body: createReadStream(largeFile, { start: half }),
});
const third = await ask("copyPart", {
  Key,
  UploadId,
  PartNumber: 3,
  CopySource: `${Bucket}/stream`,
  CopySourceRange: "bytes=0-99",
});
fact("parts_are_uploaded", [encryption(first), encryption(second), third.status]);
got = await ask("listParts", { Key, UploadId });
fact("parts_are_listed", got.Parts?.map((part) => [part.PartNumber, part.Size]));
got = await ask("listMultipartUploads");
fact("uploads_are_listed", got.Uploads?.map((upload) => [upload.Key, upload.UploadId === UploadId]));
const Parts = [first, second, third].map((part, index) => ({ PartNumber: index + 1, ETag: part.ETag }));
const whole = await ask("completeMultipartUpload", { Key, UploadId, Parts });
fact("upload_is_completed", [...encryption(whole), whole.ETag?.endsWith('-3"')]);
got = await ask("getObject", { Key });
fact("whole_is_read_back", same(got.Content, Buffer.concat([large, small.subarray(0, 100)])));
const other = await ask("initiateMultipartUpload", { Key: "given-up" });
fact("upload_is_aborted", (await ask("abortMultipartUpload", { Key: "given-up", UploadId: other.UploadId })).status);
got = await client.uploadFile({
  Bucket,
  Key: "by-tasks",
  UploadFile: largeFile,
  PartSize: 1024 * 1024,
  TaskNum: 3,
  SseKms: "kms",
});
fact("file_by_tasks", [got.CommonMsg.Status, same((await ask("getObject", { Key: "by-tasks" })).Content, large)]);

const byTasks = join(folder, "by-tasks.bin");
got = await client.downloadFile({ Bucket, Key: "by-tasks", DownloadFile: byTasks, PartSize: 1024 * 1024, TaskNum: 3 });
fact("file_by_tasks_and_back", [got.CommonMsg.Status, same(saved(byTasks), large)]);

// ---- append ---------------------------------------------------------------------------------------------------------

const grown = await ask("appendObject", { Key: "log", Position: 0, Body: "one ", SseKms: "kms" });
const more = await ask("appendObject", { Key: "log", Position: grown.NextPosition, Body: "two" });
got = await ask("getObject", { Key: "log" });
fact("object_is_appended", [
  grown.status,
  grown.SseKms,
  more.status,
  more.NextPosition,
  got.Content?.toString(),
  got.SseKms,
]);

// ---- signed URLs and forms ------------------------------------------------------------------------------------------

const QueryParams = { "x-obs-server-side-encryption": "kms", "x-obs-server-side-encryption-kms-key-id": long };
const named = { Bucket, Key: "by url/键", Expires: 60 };
const signed = (Method, more) => client.createSignedUrlSync({ Method, ...named, ...more }).SignedUrl;
const url = signed("PUT", { QueryParams });
got = await fetchPlain("PUT", url, { "Content-Length": small.length }, small);
fact("signed_url_with_the_mode", [
  got.status,
  got.headers["x-obs-server-side-encryption"],
  got.headers["x-obs-server-side-encryption-kms-key-id"],
]);
fact("signed_url_of_another_mode", (await fetchPlain("PUT", url.replace("=kms", "=AES256"), {}, "")).status);
got = await fetchPlain("GET", signed("GET"));
fact("signed_url_reads", [got.status, same(got.bytes, small)]);

const FormParams = { "x-obs-server-side-encryption": "kms", "content-type": "text/plain", success_action_status: 201 };
const form = client.createPostSignatureSync({ Bucket, Key: "by form", Expires: 60, FormParams });
const type = { "Content-Type": "multipart/form-data; boundary=edge" };
const part = (name, value) => `--edge\r\nContent-Disposition: form-data; name=${name}\r\n\r\n${value}\r\n`;
for (const [label, claim] of [
  ["signature", { AccessKeyId: settings.access_key, policy: form.Policy, signature: form.Signature }],
  ["token", { token: form.Token }],
]) {
  const fields = Object.entries({ key: "by form", ...FormParams, ...claim });
  const parts = fields.map(([name, value]) => part(`"${name}"`, value));
  const body = [...parts, part('"file"; filename="a.txt"', label), "--edge--\r\n"].join("");
  got = await fetchPlain("POST", `http://${Bucket}.${host}/`, type, body);
  fact(`form_by_${label}`, [
    got.status,
    got.headers["x-obs-server-side-encryption"],
    (await ask("getObject", { Key: "by form" })).Content?.toString(),
  ]);
}

// ---- configuration --------------------------------------------------------------------------------------------------

const Rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "kms", KMSMasterKeyID: bare } };
fact("default_encryption_is_set", (await ask("setBucketEncryption", { Rule })).status);
fact("default_encryption_is_shown", (await ask("getBucketEncryption")).Rule);
fact("default_encryption_is_inherited", encryption(await ask("putObject", { Key: "inherits", Body: "x" })));
fact("default_encryption_is_removed", (await ask("deleteBucketEncryption")).status);
got = await ask("getBucketEncryption");
fact("no_default_encryption", [got.status, got.code]);

const Policy = JSON.stringify({
  Statement: [
    {
      Sid: "DenyUnEncryptedObjectUploads",
      Effect: "Deny",
      Principal: "*",
      Action: "PutObject",
      Resource: `${Bucket}/*`,
      Condition: { StringNotEquals: { "x-obs-server-side-encryption": "kms" } },
    },
  ],
});
fact("policy_is_set_as_json", [(await ask("setBucketPolicy", { Policy })).status, sent()["content-type"]]);
fact("policy_is_shown", (await ask("getBucketPolicy")).Policy === Policy);
got = await ask("putObject", { Key: "denied", Body: "x" });
fact("policy_denies", [got.status, got.code]);
fact("policy_lets_pass", (await ask("putObject", { Key: "passes", Body: "x", SseKms: "kms" })).status);
fact("policy_is_removed", (await ask("deleteBucketPolicy")).status);
got = await ask("setBucketPolicy", { Policy: '{"Statement": []}' });
fact("malformed_policy", [got.status, got.code]);

fact("acl", [
  (await ask("setObjectAcl", { Key: "stream", ACL: "public-read" })).status,
  (await ask("getObjectAcl", { Key: "stream" })).Grants?.length,
]);

// ---- errors, lists, the end -----------------------------------------------------------------------------------------

got = await ask("getObject", { Key: "none" });
fact("missing_object", [got.status, got.code]);
fact("missing_object_has_a_request_id", (await client.getObject({ Bucket, Key: "none" })).CommonMsg.RequestId);
got = await ask("getObjectMetadata", { Key: "none" });
fact("missing_object_by_head", [got.status, got.code]);
got = await ask("putObject", {
  Key: "none",
  Body: "x",
  SseKms: "kms",
  SseKmsKey: "522d6070-5ad3-4765-9737-9312ddc72cdb",
});
fact("unknown_key", [got.status, got.code]);
got = await (await connect("wrong")).getObject({ Bucket, Key: "stream" });
fact("wrong_secret", [got.CommonMsg.Status, got.CommonMsg.Code]);

got = await ask("listObjects", { Prefix: "up/", MaxKeys: 2 });
fact("first_page", [got.Contents?.map((entry) => entry.Key), got.IsTruncated, got.NextMarker]);
got = await ask("listObjects", { Prefix: "up/", Marker: got.NextMarker });
fact("next_page", [got.Contents?.map((entry) => entry.Key), got.IsTruncated]);
got = await ask("listObjects", { Delimiter: "/", Prefix: "", MaxKeys: 1000 });
fact("common_prefixes", got.CommonPrefixes?.map((entry) => entry.Prefix));
got = await ask("listVersions", { Prefix: "up/" });
fact("versions", got.Versions?.map((entry) => [entry.Key, entry.VersionId, entry.IsLatest]));

fact("object_is_deleted", (await ask("deleteObject", { Key: "stream" })).status);
fact("bucket_is_not_empty", await ask("deleteBucket").then((answer) => [answer.status, answer.code]));
const left = (await ask("listObjects")).Contents ?? [];
got = await ask("deleteObjects", { Quiet: false, Objects: left.map((entry) => ({ Key: entry.Key })) });
fact("objects_are_deleted", [got.status, got.Deleteds?.length === left.length, got.Errors?.length ?? 0]);
fact("bucket_is_deleted", (await ask("deleteBucket")).status);
agent.destroy();
client.close();
