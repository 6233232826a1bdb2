import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deriveVerifier, ScramError } from './scram.ts';
import { ScramClient } from './scram-client.ts';
import { ScramServer } from './scram-server.ts';

const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const verifier = deriveVerifier('pencil', salt);
const nonce = (fill: number): Uint8Array => new Uint8Array(18).fill(fill);

describe('SCRAM-SHA-256', () => {
  it('the keys of the example in RFC 7677 are derived', () => {
    expect(verifier.storedKey.toString('base64')).toBe('WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=');
    expect(verifier.serverKey.toString('base64')).toBe('wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=');
  });

  it('a client that knows the password is let in, and the server proves that it knows the password too', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 40 }),
        fc.uint8Array({ minLength: 18, maxLength: 18 }),
        (password, random) => {
          const client = new ScramClient(password, random);
          const server = new ScramServer(deriveVerifier(password, salt), nonce(7));
          const proven = server.verify(client.proof(server.challenge(client.first())));
          expect(() => client.finish(proven)).not.toThrow();
        },
      ),
      { numRuns: 20 },
    );
  });

  it('a client with a wrong password is refused, and so is a server that does not know the password', () => {
    const client = new ScramClient('pencils', nonce(1));
    const server = new ScramServer(verifier, nonce(2));
    const proof = client.proof(server.challenge(client.first()));
    expect(() => server.verify(proof)).toThrow(ScramError);

    const honest = new ScramClient('pencil', nonce(1));
    const liar = new ScramServer({ ...verifier, serverKey: Buffer.alloc(32) }, nonce(2));
    const final = liar.verify(honest.proof(liar.challenge(honest.first())));
    expect(() => honest.finish(final)).toThrow(ScramError);
  });

  it('a message that is changed on its way to the server is refused', () => {
    const client = new ScramClient('pencil', nonce(1));
    const first = client.first();
    const proof = client.proof(new ScramServer(verifier, nonce(2)).challenge(first));
    const answer = (message: string): void => {
      const server = new ScramServer(verifier, nonce(2));
      server.challenge(first);
      server.verify(message);
    };
    expect(() => answer(proof)).not.toThrow();
    fc.assert(
      fc.property(fc.nat({ max: proof.length - 1 }), fc.integer({ min: 33, max: 126 }), (at, code) => {
        const changed = proof.slice(0, at) + String.fromCharCode(code) + proof.slice(at + 1);
        if (changed === proof) return;
        expect(() => answer(changed)).toThrow(ScramError);
      }),
    );
  });

  it('both sides throw no error but ScramError, whatever bytes they get', () => {
    const message = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc
        .array(fc.constantFrom('n', 'y', 'p', 'r', 'c', 's', 'i', '=', ',', 'biws', 'AAAA', '4096'), { maxLength: 30 })
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(message, message, (first, second) => {
        const attempts = [
          () => new ScramServer(verifier, nonce(2)).challenge(first),
          () => {
            const server = new ScramServer(verifier, nonce(2));
            server.challenge(`n,,n=,r=${'x'.repeat(20)}`);
            server.verify(second);
          },
          () => {
            const client = new ScramClient('pencil', nonce(1));
            client.first();
            client.proof(first);
          },
        ];
        for (const attempt of attempts) {
          try {
            attempt();
          } catch (error) {
            expect(error).toBeInstanceOf(ScramError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('each step of a login is taken once, and in order', () => {
    const server = new ScramServer(verifier, nonce(2));
    expect(() => server.verify('c=biws,r=x,p=AAAA')).toThrow(ScramError);
    server.challenge(`n,,n=,r=${'x'.repeat(20)}`);
    expect(() => server.challenge(`n,,n=,r=${'x'.repeat(20)}`)).toThrow(ScramError);
    const client = new ScramClient('pencil', nonce(1));
    expect(() => client.proof('')).toThrow(ScramError);
  });

  it('a client refuses too few or too many rounds, and a nonce that does not begin with its own', () => {
    for (const challenge of [
      (r: string) => `r=${r}AAAA,s=AAAA,i=1`,
      (r: string) => `r=${r}AAAA,s=AAAA,i=100000000`,
      (r: string) => `r=${r},s=AAAA,i=4096`,
      () => 'r=other,s=AAAA,i=4096',
    ]) {
      const client = new ScramClient('pencil', nonce(1));
      const own = client.first().split('r=')[1] as string;
      expect(() => client.proof(challenge(own))).toThrow(ScramError);
    }
  });
});
