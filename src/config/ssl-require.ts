/**
 * SSLRequire's expressions: an older language than httpd's own, of which they are a part but for one thing. Whatever
 * the operator is called, it compares texts: the longer one is the greater, of equally long ones the later in the
 * alphabet. So `%{SSL_CIPHER_USEKEYSIZE} >= 128` and `%{SSL_CLIENT_S_DN_O} eq "Example"` both say what they read.
 */
import { parseExpression } from './expression.ts';
import type { Expression } from './expression.ts';
import type { Condition } from './expression-tree.ts';

/** Throws ExpressionSyntaxError (`expression-syntax`). */
export function parseSslRequire(source: string): Expression {
  return { source, root: bySize(parseExpression(source).root) };
}

function bySize(condition: Condition): Condition {
  if (condition.kind === 'compare') return { ...condition, as: 'sized' };
  if (condition.kind === 'not') return { ...condition, condition: bySize(condition.condition) };
  if (condition.kind !== 'and' && condition.kind !== 'or') return condition;
  return { ...condition, conditions: condition.conditions.map(bySize) };
}
