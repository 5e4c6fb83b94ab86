export interface Bars {
  readonly label: string;
  /** One for each of the kinds. */
  readonly values: readonly number[];
}

const COLOURS = ['#06c', '#5ac', '#c60', '#888'];
const [WIDTH, LEFT, LINE] = [720, 260, 18] as const;

/** An SVG of horizontal bars, in groups. */
export function bars(title: string, kinds: readonly string[], groups: readonly Bars[]): string {
  const top = Math.max(...groups.flatMap(({ values }) => values));
  const step = kinds.length * LINE + 14;
  const height = 60 + groups.length * step;
  const rows = groups.flatMap(({ label, values }, group) => [
    `<text x="${LEFT - 10}" y="${60 + group * step + LINE}" text-anchor="end">${label}</text>`,
    ...values.map((value, kind) => {
      const y = 60 + group * step + kind * LINE;
      const width = Math.max(1, (value / top) * (WIDTH - LEFT - 80));
      return `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${LINE - 4}" fill="${COLOURS[kind]}"/><text x="${LEFT + width + 6}" y="${y + 11}">${value.toFixed(2)}</text>`;
    }),
  ]);
  const legend = kinds.map(
    (kind, index) =>
      `<rect x="${LEFT + index * 120}" y="30" width="12" height="12" fill="${COLOURS[index]}"/><text x="${LEFT + index * 120 + 18}" y="41">${kind}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
  <rect width="${WIDTH}" height="${height}" fill="white"/>
  <text x="20" y="18">${title}</text>
  ${[...legend, ...rows].join('\n  ')}
</svg>
`;
}
