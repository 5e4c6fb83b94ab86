/** An httpd expression (`<If>`, `Require expr`, `expr=`), parsed. Plain data: it travels with Settings. */
export interface Expression {
  readonly source: string;
}
