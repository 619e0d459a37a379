import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Said {
  status: number;
  type?: string;
  body?: string;
}

/** An HTTP server between a client and another server. */
export class Proxy implements AsyncDisposable {
  lost = 0;
  private readonly server: Server;

  private constructor(answer: (received: IncomingMessage, response: ServerResponse) => void) {
    this.server = createServer(answer);
  }

  /** Hands on what it gets, with these headers; the answer to the first request of that method is lost. */
  static async losing(method: string, endpoint: string, headers: Record<string, string> = {}): Promise<Proxy> {
    const proxy: Proxy = new Proxy((received, response) => {
      const { hostname, port } = new URL(endpoint);
      const handed = {
        hostname,
        port,
        method: received.method,
        path: received.url,
        headers: { ...received.headers, ...headers },
      };
      const onward = request(handed as object, (answer) => {
        if (received.method === method && proxy.lost === 0) {
          proxy.lost += 1;
          answer.resume().once('end', () => received.socket.destroy());
          return;
        }
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      received.pipe(onward);
    });
    return proxy.listen();
  }

  /** Says this to everything, or by the method. */
  static async answering(answer: Said | ((method: string) => Said)): Promise<Proxy> {
    return new Proxy((received, response) => {
      const { status, type, body } = typeof answer === 'function' ? answer(received.method ?? '') : answer;
      received.resume().once('end', () => response.writeHead(status, type && { 'content-type': type }).end(body));
    }).listen();
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }
}
