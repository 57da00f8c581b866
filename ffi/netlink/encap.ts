/**
 * Lightweight tunnels: what is inside RTA_ENCAP and NHA_ENCAP. MPLS label stacks and SRv6 segment lists are understood,
 * other types (and forms of these two that say more than labels or segments) are carried raw. Pure; any thread.
 */
import {
  attributeLength,
  attributeType,
  beginNest,
  endNest,
  putAttribute,
  putU8,
  putU16,
  readBytes,
} from "./attribute.ts";
import {
  IPV6_SR_HDR_LENGTH,
  IPV6_SRCRT_TYPE_4,
  LWTUNNEL_ENCAP_MPLS,
  LWTUNNEL_ENCAP_NONE,
  LWTUNNEL_ENCAP_SEG6,
  MPLS_IPTUNNEL_DST,
  MPLS_IPTUNNEL_TTL,
  MPLS_LS_LABEL_SHIFT,
  MPLS_LS_S_BIT,
  NLA_F_NESTED,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  SEG6_IPTUN_MODE_INLINE,
  SEG6_IPTUNNEL_SRH,
} from "./constants.ts";
import { align4 } from "./message.ts";

/** `hdrlen` of a segment routing header counts 8 bytes in 8 bits. */
const SEG6_SEGMENTS_MAX = 127;
const SEGMENT_LENGTH = 16;

export interface Encap {
  /** LWTUNNEL_ENCAP_* */
  type: number;
  /** MPLS: labels to push, outermost first. */
  labels: number[];
  /** MPLS: MPLS_IPTUNNEL_TTL; undefined if absent. */
  ttl: number | undefined;
  /** SEG6: SEG6_IPTUN_MODE_* */
  seg6Mode: number;
  /** SEG6: segments in travel order, 16 bytes each, without the place that inline mode keeps for the destination. */
  segments: Uint8Array[];
  /** The attributes inside, where neither labels nor segments say it all; else empty. */
  raw: Uint8Array;
}

export function createEncap(): Encap {
  return { type: LWTUNNEL_ENCAP_NONE, labels: [], ttl: undefined, seg6Mode: 0, segments: [], raw: new Uint8Array(0) };
}

/** Label stack entry of RFC 3032, without traffic class and TTL, which the kernel wants zero. Big-endian on the wire. */
export function labelEntry(label: number, bottom: boolean): number {
  return ((label << MPLS_LS_LABEL_SHIFT) | (bottom ? MPLS_LS_S_BIT : 0)) >>> 0;
}

/** A label stack as an attribute (MPLS_IPTUNNEL_DST, RTA_NEWDST): outermost first, bottom bit on the last. */
export function putLabels(view: DataView, offset: number, type: number, labels: readonly number[]): number {
  let at = putAttribute(view, offset, type, labels.length * 4);
  if (at === 0) return 0;
  for (let i = 0; i < labels.length; i++, at += 4) view.setUint32(at, labelEntry(labels[i]!, i === labels.length - 1));
  return at;
}

/** Reads what {@linkcode putLabels} writes; null for anything that differs from that in a bit. */
export function readLabels(view: DataView, offset: number, length: number): number[] | null {
  if (length === 0 || length % 4 !== 0) return null;
  const labels: number[] = [];
  for (let at = offset; at < offset + length; at += 4) {
    const entry = view.getUint32(at);
    const label = entry >>> MPLS_LS_LABEL_SHIFT;
    if (entry !== labelEntry(label, at === offset + length - 4)) return null;
    labels.push(label);
  }
  return labels;
}

/**
 * SEG6_IPTUNNEL_SRH with everything but the segments:
 * `struct seg6_iptunnel_encap { int mode; struct ipv6_sr_hdr { __u8 nexthdr, hdrlen, type, segments_left, first_segment,
 * flags; __u16 tag; struct in6_addr segments[]; } srh[]; }`. `count` is the number of places in the header: inline mode
 * has one more than it has segments, the first, for the packet's own destination. Returns the offset of the first place;
 * segments follow last one first.
 */
export function putSeg6Header(view: DataView, offset: number, mode: number, count: number): number {
  if (count > SEG6_SEGMENTS_MAX) return 0;
  const at = putAttribute(view, offset, SEG6_IPTUNNEL_SRH, 4 + IPV6_SR_HDR_LENGTH + count * SEGMENT_LENGTH);
  if (at === 0) return 0;
  view.setInt32(at, mode, true);
  view.setUint8(at + 4, 0);
  view.setUint8(at + 5, (count * SEGMENT_LENGTH) / 8);
  view.setUint8(at + 6, IPV6_SRCRT_TYPE_4);
  view.setUint8(at + 7, count - 1);
  view.setUint8(at + 8, count - 1);
  view.setUint8(at + 9, 0);
  view.setUint16(at + 10, 0);
  return at + 4 + IPV6_SR_HDR_LENGTH;
}

function putSeg6(view: DataView, offset: number, encap: Encap): number {
  const inline = encap.seg6Mode === SEG6_IPTUN_MODE_INLINE;
  const count = encap.segments.length;
  let at = putSeg6Header(view, offset, encap.seg6Mode, inline ? count + 1 : count);
  if (at === 0) return 0;
  if (inline) {
    for (let i = 0; i < SEGMENT_LENGTH; i++) view.setUint8(at + i, 0);
    at += SEGMENT_LENGTH;
  }
  for (let s = count - 1; s >= 0; s--, at += SEGMENT_LENGTH) {
    const segment = encap.segments[s]!;
    for (let i = 0; i < SEGMENT_LENGTH; i++) view.setUint8(at + i, segment[i]!);
  }
  return at;
}

/** Both attributes of a tunnel; the pair of types differs between routes (RTA_*) and nexthop objects (NHA_*). */
export function putEncap(view: DataView, offset: number, encapType: number, typeType: number, encap: Encap): number {
  let at = beginNest(view, offset, encapType | NLA_F_NESTED);
  if (encap.type === LWTUNNEL_ENCAP_MPLS && encap.labels.length > 0) {
    at = putLabels(view, at, MPLS_IPTUNNEL_DST, encap.labels);
    if (encap.ttl !== undefined) at = putU8(view, at, MPLS_IPTUNNEL_TTL, encap.ttl);
  } else if (encap.type === LWTUNNEL_ENCAP_SEG6 && encap.segments.length > 0) {
    at = putSeg6(view, at, encap);
  } else if (at !== 0) {
    at = putRaw(view, at, encap.raw);
  }
  return putU16(view, endNest(view, offset, at), typeType, encap.type);
}

function putRaw(view: DataView, offset: number, raw: Uint8Array): number {
  const end = offset + align4(raw.length);
  if (end > view.byteLength) return 0;
  for (let i = 0; i < end - offset; i++) view.setUint8(offset + i, raw[i] ?? 0);
  return end;
}

/** The content of an ENCAP attribute of the given LWTUNNEL_ENCAP_* type. Never fails: what it cannot parse is raw. */
export function readEncap(view: DataView, offset: number, length: number, type: number): Encap {
  const encap = createEncap();
  encap.type = type;
  const end = offset + length;
  const parsed =
    (type === LWTUNNEL_ENCAP_MPLS && readMpls(view, offset, end, encap)) ||
    (type === LWTUNNEL_ENCAP_SEG6 && readSeg6(view, offset, end, encap));
  if (!parsed) {
    encap.labels = [];
    encap.ttl = undefined;
    encap.raw = new Uint8Array(align4(length));
    encap.raw.set(readBytes(view, offset, length));
  }
  return encap;
}

function readMpls(view: DataView, offset: number, end: number, encap: Encap): boolean {
  let length = 0;
  for (let at = offset; end - at >= NLA_HDRLEN; at += align4(length)) {
    length = attributeLength(view, at, end);
    if (length === 0) return false;
    const type = attributeType(view, at) & NLA_TYPE_MASK;
    if (type === MPLS_IPTUNNEL_DST && encap.labels.length === 0) {
      const labels = readLabels(view, at + NLA_HDRLEN, length - NLA_HDRLEN);
      if (labels === null) return false;
      encap.labels = labels;
    } else if (type === MPLS_IPTUNNEL_TTL && length === NLA_HDRLEN + 1 && encap.ttl === undefined) {
      encap.ttl = view.getUint8(at + NLA_HDRLEN);
    } else {
      return false;
    }
  }
  return encap.labels.length > 0;
}

/** True if the content is one segment routing header without flags, tag or TLVs. */
function readSeg6(view: DataView, offset: number, end: number, encap: Encap): boolean {
  const fixed = NLA_HDRLEN + 4 + IPV6_SR_HDR_LENGTH;
  if (end - offset < fixed + SEGMENT_LENGTH || attributeLength(view, offset, end) !== end - offset) return false;
  if ((attributeType(view, offset) & NLA_TYPE_MASK) !== SEG6_IPTUNNEL_SRH) return false;
  const count = (end - offset - fixed) / SEGMENT_LENGTH;
  const srh = offset + NLA_HDRLEN + 4;
  const plain =
    Number.isInteger(count) &&
    view.getUint8(srh) === 0 &&
    view.getUint8(srh + 1) === (count * SEGMENT_LENGTH) / 8 &&
    view.getUint8(srh + 2) === IPV6_SRCRT_TYPE_4 &&
    view.getUint8(srh + 3) === count - 1 &&
    view.getUint8(srh + 4) === count - 1 &&
    view.getUint8(srh + 5) === 0 &&
    view.getUint16(srh + 6) === 0;
  if (!plain) return false;
  const mode = view.getInt32(offset + NLA_HDRLEN, true);
  const segments: Uint8Array[] = [];
  for (let i = count - 1; i >= 0; i--) {
    segments.push(readBytes(view, srh + IPV6_SR_HDR_LENGTH + i * SEGMENT_LENGTH, SEGMENT_LENGTH));
  }
  if (mode === SEG6_IPTUN_MODE_INLINE) {
    const destination = segments.pop();
    if (segments.length === 0 || destination?.some((byte) => byte !== 0)) return false;
  }
  encap.seg6Mode = mode;
  encap.segments = segments;
  return true;
}
