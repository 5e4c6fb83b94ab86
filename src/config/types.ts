/** Content-Types by extension: the file of TypesConfig, or these. */
import { readFileSync } from 'node:fs';

const builtIn = `
application/javascript js mjs
application/json json map
application/manifest+json webmanifest
application/msword doc
application/octet-stream bin exe dll deb dmg iso img
application/pdf pdf
application/postscript ai eps ps
application/rss+xml rss
application/atom+xml atom
application/rtf rtf
application/vnd.ms-excel xls
application/vnd.ms-powerpoint ppt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/wasm wasm
application/x-7z-compressed 7z
application/x-bzip2 bz2
application/gzip gz tgz
application/x-tar tar
application/x-xz xz
application/xhtml+xml xhtml xht
application/xml xml xsl xsd
application/zip zip
audio/midi mid midi
audio/mpeg mp3
audio/ogg oga ogg
audio/wav wav
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/avif avif
image/bmp bmp
image/gif gif
image/jpeg jpg jpeg jpe
image/png png
image/svg+xml svg svgz
image/tiff tif tiff
image/vnd.microsoft.icon ico
image/webp webp
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/markdown md markdown
text/plain txt text log conf asc
text/vcard vcf
video/mp4 mp4 m4v
video/mpeg mpeg mpg
video/ogg ogv
video/quicktime mov qt
video/webm webm
`;

/** A mime.types file: a type, then its extensions; `#` begins a comment. */
function parseTypes(text: string): Record<string, string> {
  const types: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [type, ...extensions] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (!type?.includes('/')) continue;
    for (const extension of extensions) types[extension.toLowerCase()] = type;
  }
  return types;
}

/** What `file` says, or the built-in list where it cannot be read and need not be. */
export function readTypes(file: string, optional: boolean): Record<string, string> {
  try {
    return parseTypes(readFileSync(file, 'utf8'));
  } catch (error) {
    if (optional) return parseTypes(builtIn);
    throw error;
  }
}
