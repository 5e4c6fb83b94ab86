/**
 * Which URLs are talked to: https, and http on loopback, where nobody is in between (embedded and test CAs). CAs use
 * several hosts, so that is all that is asked of one.
 */
export function isAllowedUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || url.username || url.password) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/** `hostname` as URL has it: lower case, IPv4 normalised, IPv6 in brackets. */
function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
