// Runs once; `element`, `props`, `trigger` and `upload` are Gradio's. Gradio forgets the folders that files came from, so
// a chosen folder is packed into a zip here, uncompressed: the server knows zips only.
const MAX_BYTES = 16 * 1024 * 1024;
const PICTURE_NAME = /\.(png|jpe?g|webp|bmp|gif|tiff?|heic|heif)$/i;
// Of the zip format (APPNOTE.TXT 6.3.10): "stored", names in UTF-8, version 2.0.
const UTF8_FLAG = 0x0800;
const VERSION = 20;
const status = element.querySelector(".upload-status");

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// The fields that an entry's own header and the directory at the end share.
function entryFields(entry) {
  return [[VERSION, 2], [UTF8_FLAG, 2], [0, 2], [0, 4], [entry.crc, 4], [entry.bytes.length, 4], [entry.bytes.length, 4], [entry.name.length, 2], [0, 2]];
}

function pack(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0));
  let at = 0;
  for (const [value, size] of fields) for (let i = 0; i < size; i++) bytes[at++] = (value >>> (8 * i)) & 0xff;
  return bytes;
}

async function zip(files, name) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const file of files) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const entry = { name: new TextEncoder().encode(file.webkitRelativePath || file.name), bytes, crc: crc32(bytes) };
    const header = pack([[0x04034b50, 4], ...entryFields(entry)]);
    directory.push(pack([[0x02014b50, 4], [VERSION, 2], ...entryFields(entry), [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), entry.name);
    parts.push(header, entry.name, bytes);
    at += header.length + entry.name.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = pack([[0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [at, 4], [0, 2]]);
  return new File([...parts, ...directory, end], `${name}.zip`, { type: "application/zip" });
}

async function send(file, what) {
  if (file.size > MAX_BYTES) {
    status.textContent = `${what} has ${Math.ceil(file.size / 1024 / 1024)} MB; at most 16 are taken. Choose fewer or smaller pictures.`;
    return;
  }
  status.textContent = `Uploading ${what}…`;
  try {
    const { path } = await upload(file);
    props.value = path;
    status.textContent = `${what} is here. Press Run to measure it.`;
    trigger("input");
  } catch {
    status.textContent = `${what} could not be uploaded. Try again, or choose a smaller one.`;
  }
}

for (const kind of ["zip", "folder"]) {
  const input = element.querySelector(`[data-input="${kind}"]`);
  element.querySelector(`[data-upload="${kind}"]`).addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = Array.from(input.files);
    input.value = "";
    if (!files.length) return;
    if (kind === "zip") return send(files[0], files[0].name);
    const pictures = files.filter((file) => PICTURE_NAME.test(file.name));
    const folder = (files[0].webkitRelativePath || "").split("/")[0] || "The folder";
    if (!pictures.length) {
      status.textContent = `${folder} holds no pictures.`;
      return;
    }
    const bytes = pictures.reduce((sum, file) => sum + file.size, 0);
    await send(bytes > MAX_BYTES ? { size: bytes } : await zip(pictures, folder), `${folder} (${pictures.length} pictures)`);
  });
}
