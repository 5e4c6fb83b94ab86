/** IP addresses, which have many spellings. */

/** One spelling per address: no zone, no brackets, IPv4-mapped IPv6 as IPv4, IPv6 compressed. */
export function normalizeAddress(address: string): string {
  const bare = address.replace(/^\[|\]$|%.*$/g, '').toLowerCase();
  if (!bare.includes(':')) return bare;
  if (bare.startsWith('::ffff:') && bare.includes('.')) return bare.slice('::ffff:'.length);
  const compressed = URL.parse(`http://[${bare}]/`)?.hostname.slice(1, -1) ?? bare;
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  return mapped ? dotted(`${mapped[1]}`, `${mapped[2]}`) : compressed;
}

function dotted(high: string, low: string): string {
  const bytes = Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex');
  return bytes.join('.');
}
