/**
 * The types that every part of the http room shares: a connection as the listener knows it, one request with
 * its answer, and who may produce answers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TlsFacts } from '../tls/facts.ts';
import type { DirectorySettings, HostSettings, ProxyMapping, Settings } from '../config/settings.ts';

/** What is known of a connection before its first request. */
export interface ConnectionInfo {
  /** Over TLS. */
  readonly secure: boolean;
  /** `h2` or `http/1.1`; undefined where nothing was negotiated (then HTTP/1.1 is spoken). */
  readonly alpn: string | undefined;
  /** Lower case; undefined without SNI or without TLS. */
  readonly sni: string | undefined;
  /** Chosen in the handshake, or by address alone; the base server where no virtual host has the address. */
  readonly host: HostSettings;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort?: number;
  readonly tls?: TlsFacts;
  /** The certificate shown is a stopgap: every request that reaches a managed host is answered with 503. */
  readonly fallback?: boolean;
}

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** One request and its answer. Made by the pipeline; handlers read it and write to `response`. */
export interface Exchange {
  /** RequestHeader rules have changed `headers`, not `rawHeaders`. */
  readonly request: Request;
  /** Header rules, HSTS and the Server header are laid on when its head is written, whoever writes it. */
  readonly response: Response;
  readonly connection: ConnectionInfo;
  /** The configuration this exchange began with; a reload doesn't change it. */
  readonly settings: Settings;
  readonly host: HostSettings;
  /** ms since the epoch. */
  readonly started: number;
  readonly method: string;
  /** `host[:port]` as the client asked for (Host, `:authority`, or an absolute request target), checked. Empty without one. */
  readonly authority: string;
  /** The authority without port, lower case, without brackets; empty without one. */
  readonly hostname: string;
  /** The path as it was sent, percent-encoded, without query. */
  readonly rawPath: string;
  /** Decoded, dot segments resolved, slashes merged; begins with `/` (or is `*`). */
  readonly path: string;
  /** Without `?`; empty where there is none. */
  readonly query: string;
  /** All matching sections, merged. */
  readonly directory: DirectorySettings;
  /** The file or folder that the path maps to; undefined where it doesn't (proxied, no DocumentRoot). */
  readonly filename: string | undefined;
  /** Variables of the request for logs, header formats and expressions. */
  readonly env: Map<string, string>;
  /** For `Upgrade: websocket` and CONNECT: the raw socket and what came after the head. `response` works all the same. */
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | undefined;
  /** What a client of the forward proxy asks for: another server's URL, or `host:port` (CONNECT). */
  readonly forwardTo: string | undefined;
  /**
   * Answers with an error: the ErrorDocument of the place, else a short page. `reason` goes to the error log.
   * After the head is sent it can only end the connection (HTTP/1) or the stream (HTTP/2).
   */
  fail(status: number, reason?: string): Promise<void>;
}

/** Produces an answer; fulfilled when the answer is handed over, or its client is gone. */
export type Handler = (exchange: Exchange) => Promise<void>;

/** What src/http/proxy/ provides. */
export interface ProxyHandler {
  /** `target`: absolute URL, path and query of the request included. */
  handle(exchange: Exchange, target: string, mapping: ProxyMapping): Promise<void>;
  /** A tunnel for CONNECT. */
  connect(exchange: Exchange, to: { readonly hostname: string; readonly port: number }): Promise<void>;
  /** Called instead of handle() where `exchange.upgrade` is set. */
  upgrade(exchange: Exchange, target: string, mapping: ProxyMapping): Promise<void>;
}
