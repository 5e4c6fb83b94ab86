/** RuntimeAPI: the control socket's requests over HTTP, for who has the token. */
import { isDeepStrictEqual } from 'node:util';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ApiSettings } from '../../config/settings.ts';
import { ControlServer, type ControlHandlers } from './control-server.ts';

export class RuntimeApi implements AsyncDisposable {
  readonly #handlers: ControlHandlers;
  readonly #logger: Logger;
  #settings: ApiSettings | undefined;
  #server: ControlServer | undefined;

  constructor(handlers: ControlHandlers, logger: Logger) {
    this.#handlers = handlers;
    this.#logger = logger;
  }

  /** An address that can't be had is said in the log: certificates are served all the same. */
  async configure(settings: ApiSettings | undefined): Promise<void> {
    if (this.#server && isDeepStrictEqual(settings, this.#settings)) return;
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
    this.#settings = settings;
    if (!settings) return;
    try {
      this.#server = await ControlServer.listen(settings, this.#handlers);
    } catch (error) {
      this.#logger.error(`RuntimeAPI ${settings.address}:${settings.port}: ${explain(error)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }
}
