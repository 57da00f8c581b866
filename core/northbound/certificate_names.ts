/**
 * The names in an X.509 certificate (RFC 5280), as the configuration spells them: `CN=…` of the subject, and `DNS:…`,
 * `URI:…`, `EMAIL:…`, `IP:…` of its alternative names. Read from its bytes, because the texts that runtimes make of them
 * cannot be taken apart again for sure: a name may hold what separates names. Whether the certificate is to be trusted is
 * not asked here. Pure; any thread.
 */

const SEQUENCE = 0x30;
const SET = 0x31;
const OBJECT_ID = 0x06;
const OCTET_STRING = 0x04;
/** Explicitly tagged parts of TBSCertificate: the version, and the extensions. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** UTF8String, PrintableString, TeletexString, IA5String. */
const STRINGS: readonly number[] = [0x0c, 0x13, 0x14, 0x16];
/** 2.5.4.3 and 2.5.29.17. */
const COMMON_NAME = "55 04 03";
const SUBJECT_ALT_NAME = "55 1d 11";
/** Kinds of GeneralName that have a text. */
const TEXT_NAMES: ReadonlyMap<number, string> = new Map([
  [0x81, "EMAIL:"],
  [0x82, "DNS:"],
  [0x86, "URI:"],
]);
const ADDRESS_NAME = 0x87;

interface Element {
  tag: number;
  content: Uint8Array;
}

/** Its names; none of a certificate that is not well formed. */
export function certificateNames(der: Uint8Array): string[] {
  try {
    const [certificate] = readAll(der);
    const [toBeSigned] = readAll(expect(certificate, SEQUENCE));
    const parts = readAll(expect(toBeSigned, SEQUENCE));
    if (parts[0]?.tag === VERSION) parts.shift();
    // Serial number, signature algorithm, issuer, validity, subject.
    const subject = expect(parts[4], SEQUENCE);
    const extensions = parts.find(({ tag }) => tag === EXTENSIONS);
    return [...commonName(subject), ...(extensions === undefined ? [] : alternativeNames(extensions.content))];
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

/** With several of them it would be anybody's guess which is meant: then none is. */
function commonName(subject: Uint8Array): string[] {
  const found: string[] = [];
  for (const set of readAll(subject)) {
    for (const pair of readAll(expect(set, SET))) {
      const [type, value] = readAll(expect(pair, SEQUENCE));
      if (hex(expect(type, OBJECT_ID)) !== COMMON_NAME || value === undefined) continue;
      found.push((STRINGS.includes(value.tag) && text(value.content)) || "");
    }
  }
  return found.length === 1 && found[0] !== "" ? [`CN=${found[0]}`] : [];
}

function alternativeNames(content: Uint8Array): string[] {
  const [extensions] = readAll(content);
  for (const extension of readAll(expect(extensions, SEQUENCE))) {
    const parts = readAll(expect(extension, SEQUENCE));
    if (hex(expect(parts[0], OBJECT_ID)) !== SUBJECT_ALT_NAME) continue;
    const [names] = readAll(expect(parts.at(-1), OCTET_STRING));
    return readAll(expect(names, SEQUENCE)).flatMap(({ tag, content: name }) => {
      if (tag === ADDRESS_NAME) return address(name);
      const [kind, value] = [TEXT_NAMES.get(tag), text(name)];
      return kind === undefined || value === "" ? [] : [kind + value];
    });
  }
  return [];
}

function address(bytes: Uint8Array): string[] {
  if (bytes.length === 4) return [`IP:${bytes.join(".")}`];
  if (bytes.length !== 16) return [];
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((bytes[2 * index]! << 8) | bytes[2 * index + 1]!).toString(16),
  );
  // As URL writes it: the longest run of zeros left out.
  return [`IP:${new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1)}`];
}

/** Empty for what is not printable ASCII, as names in the configuration are; a zero byte in the middle has fooled others. */
function text(bytes: Uint8Array): string {
  const value = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return /^[ -~]*$/.test(value) ? value : "";
}

function expect(element: Element | undefined, tag: number): Uint8Array {
  if (element?.tag !== tag) throw new RangeError("another element was to be expected");
  return element.content;
}

/** The elements (X.690: one byte of tag, a definite length) that lie one behind the other in these bytes. */
function readAll(bytes: Uint8Array): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    let length = bytes[at + 1] ?? Number.NaN;
    at += 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count === 0 || count > 3) throw new RangeError("a length is indefinite or too long");
      length = 0;
      for (let index = 0; index < count; index++) length = (length << 8) | (bytes[at + index] ?? Number.NaN);
      at += count;
    }
    if (!(at + length <= bytes.length)) throw new RangeError("an element is longer than what holds it");
    elements.push({ tag, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return elements;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
