/** What one run of a renewal costs of its CA's budgets. */
import type { Store } from '../../store/store.ts';
import type { BudgetRequest } from './budget-limits.ts';
import type { Budgets } from './budgets.ts';
import type { Problem } from '../issuer.ts';

export class Spending {
  readonly #budgets: Budgets;
  readonly #request: BudgetRequest;
  #orders = 0;

  constructor(budgets: Budgets, request: BudgetRequest) {
    this.#budgets = budgets;
    this.#request = request;
  }

  /** See ObtainOptions. */
  readonly beforeOrder = async (): Promise<void> => {
    await this.#budgets.take(this.#request);
    this.#orders += 1;
  };

  /** After a failure. An order that is still staged may yet become a certificate: what it took stays taken. */
  async failed(problem: Problem, store: Store): Promise<void> {
    await this.#budgets.learn(this.#request, problem);
    const staged = await store.aspects('staging', this.#request.name);
    if (this.#orders === 0 || staged.includes('order.json')) return;
    await this.#budgets.giveBack(this.#request, this.#orders);
  }
}
