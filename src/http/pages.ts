/** The built-in pages: what is said when no ErrorDocument is. Short, escaped, and as httpd words it. */
import { STATUS_CODES } from 'node:http';

/** What the server calls itself. */
export const serverSoftware = 'Latchkey';

const doctype =
  '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n';

const sentences: Readonly<Record<number, string>> = {
  400: 'Your browser sent a request that this server could not understand.<br />',
  403: "You don't have permission to access this resource.",
  404: 'The requested URL was not found on this server.',
  405: 'The requested method is not allowed for this URL.',
  408: 'Server timeout waiting for the HTTP request from the client.',
  410: 'The requested resource is no longer available on this server and there is no forwarding address.\nPlease remove all references to this resource.',
  413: 'The requested resource does not allow request data with the amount of data provided in the request, or the request exceeds the capacity limit.',
  414: "The requested URL's length exceeds the capacity\nlimit for this server.",
  416: 'None of the range-specifier values in the Range\nrequest-header field overlap the current extent\nof the selected resource.',
  421: 'The client needs a new connection for this\nrequest as the requested host name does not match\nthe Server Name Indication (SNI) in use for this\nconnection.',
  500: 'The server encountered an internal error or\nmisconfiguration and was unable to complete\nyour request.',
  501: 'The requested method is not supported.',
  502: 'The proxy server received an invalid\nresponse from an upstream server.',
  503: 'The server is temporarily unable to service your\nrequest due to maintenance downtime or capacity\nproblems. Please try again later.',
  504: 'The gateway did not receive a timely response\nfrom the upstream server or application.',
};

/** httpd's reason phrases where they differ from Node's. */
export function reasonPhrase(status: number): string {
  if (status === 416) return 'Requested Range Not Satisfiable';
  if (status === 414) return 'Request-URI Too Long';
  if (status === 413) return 'Request Entity Too Large';
  if (status === 408) return 'Request Timeout';
  return STATUS_CODES[status] ?? 'Unknown';
}

/** The page of an error or a redirect (`location` given). */
export function statusPage(status: number, location?: string): string {
  const title = reasonPhrase(status);
  return `${doctype}<html><head>
<title>${status} ${title}</title>
</head><body>
<h1>${title}</h1>
<p>${sentence(status, location)}</p>
</body></html>
`;
}

function sentence(status: number, location: string | undefined): string {
  if (location === undefined) return sentences[status] ?? 'The server could not answer this request.';
  const link = `<a href="${escapeHtml(location)}">here</a>`;
  if (status === 303) return `The answer to your request is located ${link}.`;
  return `The document has moved ${link}.`;
}

/** A listing (`Options Indexes`). Names are decoded, folders end in `/`. */
export function listingPage(path: string, entries: readonly { name: string; href: string }[]): string {
  const lines = entries.map(
    ({ name, href }) => `<li><a href="${escapeHtml(href)}"> ${escapeHtml(name)}</a></li>\n`,
  );
  const title = `Index of ${escapeHtml(path === '/' ? path : path.replace(/\/$/, ''))}`;
  return `${doctype}<html>
 <head>
  <title>${title}</title>
 </head>
 <body>
<h1>${title}</h1>
<ul>${lines.join('')}</ul>
</body></html>
`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
