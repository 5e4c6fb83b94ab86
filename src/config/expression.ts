/**
 * httpd's expressions ("Expressions in Apache HTTP Server", 2.4): parsing. Evaluating is
 * ./expression-evaluate.ts.
 *
 *     parseExpression(`%{REQUEST_METHOD} in { 'PUT', 'POST' } && %{req:Host} =~ /\\.example$/i`)
 *
 * Left out, and refused when met: `-U`, `-F` and `-A` (subrequests), `file()`, `filesize()`,
 * `PeerExtList()`, and regular expressions that JavaScript's engine would read otherwise than PCRE.
 */
import { parseCondition, parseText } from './expression-parser.ts';
import type { Expression, StringExpression } from './expression-tree.ts';

export { ExpressionSyntaxError } from './expression-tree.ts';
export type { Expression, StringExpression } from './expression-tree.ts';

/** Reads a condition. Throws ExpressionSyntaxError (`expression-syntax`). */
export function parseExpression(source: string): Expression {
  return { source, root: parseCondition(source) };
}

/** Reads a text with `%{…}` in it, without quotes around. Throws ExpressionSyntaxError (`expression-syntax`). */
export function parseStringExpression(source: string): StringExpression {
  return { source, root: parseText(source) };
}
