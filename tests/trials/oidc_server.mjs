// An OAuth server that is not ours: node-oidc-provider, strict and certified, with rotating refresh tokens.
// Arguments: port, PEM certificate of the application "assertion". Prints READY when it listens.
import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import Provider from 'oidc-provider';

const [port, certificate] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const key = new X509Certificate(readFileSync(certificate)).publicKey.export({ format: 'jwk' });
const scope = 'openid offline_access SMTP.Send';
const application = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
const person = {
  application_type: 'native',
  redirect_uris: ['http://localhost/callback'],
  response_types: ['code'],
  grant_types: [
    'authorization_code',
    'refresh_token',
    'urn:ietf:params:oauth:grant-type:device_code',
  ],
};
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'assertion',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'PS256',
      jwks: { keys: [{ ...key, alg: 'PS256', use: 'sig' }] },
      ...application,
    },
    {
      client_id: 'assertion-rs256',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'RS256',
      jwks: { keys: [{ ...key, alg: 'RS256', use: 'sig' }] },
      ...application,
    },
    {
      client_id: 'secret',
      client_secret: 's3cret~with+odd/chars.',
      token_endpoint_auth_method: 'client_secret_post',
      ...application,
    },
    { client_id: 'public', token_endpoint_auth_method: 'none', ...person },
    {
      client_id: 'web',
      client_secret: 's3cret~with+odd/chars.',
      token_endpoint_auth_method: 'client_secret_post',
      ...person,
    },
  ],
  scopes: scope.split(' '),
  features: { clientCredentials: { enabled: true }, deviceFlow: { enabled: true } },
  pkce: { required: () => true },
  // Each use brings a new one; using an old one again revokes everything that came from it.
  rotateRefreshToken: true,
  issueRefreshToken: async (_, client, code) =>
    client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  ttl: { AccessToken: 3600, ClientCredentials: 3600, RefreshToken: 86400, Session: 3600, Grant: 86400, Interaction: 3600, DeviceCode: 600 },
  cookies: { keys: ['trial'] },
  renderError: async (context, out) => {
    context.type = 'json';
    context.body = out;
  },
});
for (const event of ['grant.error', 'authorization.error', 'server_error', 'device_authorization.error']) {
  provider.on(event, (_, error) => console.log(`${event}: ${error.error_description ?? error.message} ${error.error_detail ?? ''}`));
}
provider.listen(Number(port), '127.0.0.1', () => console.log('READY'));
