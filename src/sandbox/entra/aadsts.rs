//! Entra's numbers on demand: what each is answered with (facts F, Microsoft's page of error codes).

use super::refusal::Kind;

/// A refusal of Entra's that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aadsts {
    /// The number after `AADSTS`.
    pub code: u32,
    /// What follows it in `error_description`; where Microsoft names an application, a user or a time, the sandbox has
    /// its own.
    pub text: &'static str,
    pub(super) kind: Kind,
}

impl Aadsts {
    /// The value of `error`.
    pub fn error(&self) -> &'static str {
        self.kind.error()
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.status().as_u16()
    }
}

/// All that can be ordered, in ascending order.
pub fn aadsts() -> &'static [Aadsts] {
    KNOWN
}

pub(in crate::sandbox) fn find(code: u32) -> Option<&'static Aadsts> {
    let at = KNOWN.binary_search_by_key(&code, |known| known.code).ok()?;
    KNOWN.get(at)
}

const fn known(code: u32, kind: Kind, text: &'static str) -> Aadsts {
    Aadsts { code, text, kind }
}

pub(super) const THROTTLED: Aadsts = known(
    90_055,
    Kind::Throttled,
    "The server is temporarily unavailable because there are too many requests to the server.",
);

#[rustfmt::skip]
const KNOWN: &[Aadsts] = &[
    known(28_002, Kind::InvalidScope, "Provided value for the input parameter scope 'https://outlook.office.com/SMTP.Send' is not valid when requesting an access token. Please specify a valid scope."),
    known(28_003, Kind::InvalidScope, "Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code. Please specify a valid scope."),
    known(50_000, Kind::ServerError, "There was an error issuing a token or an issue with our sign-in service."),
    known(50_001, Kind::InvalidResource, "The application named https://outlook.office.com was not found in the tenant named exorelay sandbox. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."),
    known(50_011, Kind::InvalidRequest, "The redirect URI specified in the request does not match the redirect URIs configured for the application. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to troubleshoot this error."),
    known(50_013, Kind::InvalidClient, "Assertion failed signature validation. [Reason - The key was not found.]"),
    known(50_020, Kind::InvalidGrant, "User account 'kim@fabrikam.com' from identity provider 'live.com' does not exist in tenant 'exorelay sandbox' and cannot access the application in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different Azure Active Directory user account."),
    known(50_027, Kind::InvalidRequest, "JWT token is invalid or malformed."),
    known(50_033, Kind::TemporarilyUnavailable, "A transient error has occurred. Please try again."),
    known(50_034, Kind::InvalidGrant, "The user account does not exist in the exorelay sandbox directory. To sign into this application, the account must be added to the directory."),
    known(50_053, Kind::InvalidGrant, "The account is locked, you've tried to sign in too many times with an incorrect user ID or password."),
    known(50_055, Kind::InvalidGrant, "The password is expired."),
    known(50_057, Kind::InvalidGrant, "The user account is disabled."),
    known(50_072, Kind::InteractionRequired, "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '00000002-0000-0ff1-ce00-000000000000'."),
    known(50_074, Kind::InteractionRequired, "Strong Authentication is required."),
    known(50_076, Kind::InteractionRequired, "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '00000002-0000-0ff1-ce00-000000000000'."),
    known(50_078, Kind::InteractionRequired, "Presented multi-factor authentication has expired due to policies configured by your administrator, you must refresh your multi-factor authentication to access '00000002-0000-0ff1-ce00-000000000000'."),
    known(50_079, Kind::InteractionRequired, "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '00000002-0000-0ff1-ce00-000000000000'."),
    known(50_087, Kind::TemporarilyUnavailable, "A transient error has occurred during strong authentication. Please try again."),
    known(50_089, Kind::InvalidGrant, "Authentication failed due to flow token expired."),
    known(50_105, Kind::InvalidGrant, "Your administrator has configured the application to block users unless they are specifically granted ('assigned') access to the application. The signed in user is blocked because they are not a direct member of a group with access, nor had access directly assigned by an administrator."),
    known(50_126, Kind::InvalidGrant, "Error validating credentials due to invalid username or password."),
    known(50_173, Kind::InvalidGrant, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password."),
    known(50_194, Kind::InvalidRequest, "Application is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such applications created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant."),
    known(50_196, Kind::InvalidRequest, "The server terminated an operation because it encountered a client request loop. Please contact your app vendor."),
    known(51_004, Kind::InvalidGrant, "The user account does not exist in the exorelay sandbox directory. To sign into this application, the account must be added to the directory."),
    known(53_000, Kind::InteractionRequired, "Device is not in required device state: compliant. Conditional Access policy requires a compliant device, and the device is not compliant. The user must enroll their device with an approved MDM provider like Intune."),
    known(53_001, Kind::InteractionRequired, "Device is not in required device state: domain_joined. Conditional Access policy requires a domain joined device, and the device is not domain joined."),
    known(53_003, Kind::InvalidGrant, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."),
    known(53_011, Kind::InvalidGrant, "User blocked due to risk on home tenant."),
    known(54_005, Kind::InvalidGrant, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."),
    known(65_001, Kind::InvalidGrant, "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource."),
    known(65_004, Kind::AccessDenied, "User declined to consent to access the app."),
    known(70_000, Kind::InvalidGrant, "Provided grant is invalid or malformed."),
    known(70_001, Kind::UnauthorizedClient, "The application is disabled."),
    known(70_003, Kind::UnsupportedGrantType, "The app requested an unsupported grant type."),
    known(70_008, Kind::InvalidGrant, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource."),
    known(70_011, Kind::InvalidScope, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid."),
    known(70_016, Kind::AuthorizationPending, "OAuth 2.0 device flow error. Authorization is pending. Continue polling."),
    known(70_018, Kind::BadVerificationCode, "Invalid verification code due to User typing in wrong user code for device code flow. Authorization is not approved."),
    known(70_019, Kind::ExpiredToken, "Verification code expired. Have the user retry the sign-in."),
    known(70_020, Kind::ExpiredToken, "The provided value for the input parameter 'device_code' is not valid. This device code has expired."),
    known(70_043, Kind::InvalidGrant, "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on 2026-01-01T00:00:00.0000000Z and the maximum allowed lifetime for this request is 86400."),
    known(80_002, Kind::TemporarilyUnavailable, "Authentication Agent's password validation request timed out."),
    known(90_002, Kind::InvalidRequest, "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."),
    known(90_006, Kind::TemporarilyUnavailable, "The service is temporarily unavailable. Please retry later."),
    known(90_008, Kind::InvalidClient, "The user or administrator has not consented to use the application. The application must require access to Azure AD by specifying at least 'Sign in and read user profile' permission."),
    known(90_009, Kind::InvalidRequest, "Application is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier."),
    known(90_012, Kind::TemporarilyUnavailable, "The request has timed out."),
    known(90_014, Kind::InvalidRequest, "The required field 'scope' is missing from the credential. Ensure that you have all the necessary parameters for the login request."),
    known(90_023, Kind::InvalidRequest, "The authentication service request is not valid."),
    known(90_024, Kind::TemporarilyUnavailable, "A transient error has occurred. Please try again."),
    known(90_033, Kind::TemporarilyUnavailable, "A transient error has occurred. Please try again."),
    known(90_038, Kind::InvalidRequest, "The tenant belongs to the national cloud 'microsoftonline.us'. The current cloud instance 'microsoftonline.com' does not federate with it."),
    THROTTLED,
    known(90_090, Kind::TemporarilyUnavailable, "A transient error has occurred. Please try again."),
    known(90_094, Kind::ConsentRequired, "An administrator of the exorelay sandbox has set a policy that prevents you from granting the application the permissions it is requesting. Contact an administrator, who can grant permissions to this app on your behalf."),
    known(90_095, Kind::ConsentRequired, "Admin consent is required for the permissions requested by this application. An admin consent request was sent to the admin."),
    known(90_100, Kind::InvalidRequest, "The parameter 'scope' is empty or not valid."),
    known(135_010, Kind::ServerError, "UserPrincipal doesn't have the NGC ID key configured: KeyNotFound."),
    known(500_011, Kind::InvalidResource, "The resource principal named https://outlook.office365.com was not found in the tenant named exorelay sandbox. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."),
    known(500_112, Kind::InvalidClient, "The reply address does not match the reply address provided when requesting Authorization code."),
    known(500_113, Kind::InvalidRequest, "No reply address is registered for the application."),
    known(500_208, Kind::InvalidRequest, "The domain is not a valid login domain for the account type."),
    known(501_051, Kind::InvalidGrant, "Application is not assigned to a role for the application 'Office 365 Exchange Online'."),
    known(501_481, Kind::InvalidGrant, "The Code_Verifier does not match the code_challenge supplied in the authorization request."),
    known(530_003, Kind::InteractionRequired, "Your device is required to be managed to access this resource."),
    known(530_032, Kind::InvalidGrant, "Blocked by security policy. The tenant admin has configured a security policy that blocks this request."),
    known(530_035, Kind::InvalidGrant, "Access has been blocked by security defaults. The request is deemed unsafe by security defaults policies."),
    known(650_052, Kind::InvalidClient, "The app is trying to access a service '00000002-0000-0ff1-ce00-000000000000'(Office 365 Exchange Online) that your organization lacks a service principal for. Contact your IT Admin to review the configuration of your service subscriptions or consent to the application in order to create the required service principal."),
    known(650_056, Kind::InvalidClient, "Misconfigured application. This could be due to one of the following: the client has not listed any permissions for 'Office 365 Exchange Online' in the requested permissions in the client's application registration. Or, the admin has not consented in the tenant."),
    known(650_057, Kind::InvalidResource, "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration."),
    known(700_011, Kind::UnauthorizedClient, "Application with identifier was not found in the directory."),
    known(700_016, Kind::UnauthorizedClient, "Application was not found in the directory 'exorelay sandbox'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."),
    known(700_021, Kind::InvalidClient, "Client assertion application identifier doesn't match 'client_id' parameter."),
    known(700_022, Kind::InvalidScope, "The provided value for the input parameter scope is not valid because it contains more than one resource."),
    known(700_023, Kind::InvalidClient, "Client assertion audience claim does not match Realm issuer. Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials ."),
    known(700_024, Kind::InvalidClient, "Client assertion is not within its valid time range."),
    known(700_025, Kind::InvalidClient, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
    known(700_027, Kind::InvalidClient, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]"),
    known(700_082, Kind::InvalidGrant, "The refresh token has expired due to inactivity. The token was issued on 2026-01-01T00:00:00.0000000Z and was inactive for 90.00:00:00."),
    known(700_084, Kind::InvalidGrant, "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which cannot be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page."),
    known(700_211, Kind::InvalidClient, "No matching federated identity record found for presented assertion issuer. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."),
    known(700_212, Kind::InvalidClient, "No matching federated identity record found for presented assertion audience. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."),
    known(700_213, Kind::InvalidClient, "No matching federated identity record found for presented assertion subject. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."),
    known(900_023, Kind::InvalidRequest, "Specified tenant identifier is neither a valid DNS name, nor a valid external domain."),
    known(900_144, Kind::InvalidRequest, "The request body must contain the following parameter: 'scope'."),
    known(900_382, Kind::InvalidRequest, "Confidential Client is not supported in Cross Cloud request."),
    known(900_432, Kind::InvalidRequest, "Confidential Client is not supported in Cross Cloud request."),
    known(900_971, Kind::InvalidRequest, "No reply address provided."),
    known(901_002, Kind::InvalidRequest, "The 'resource' request parameter is not supported."),
    known(1_002_016, Kind::InvalidRequest, "You are using TLS version 1.0, 1.1 and/or 3DES cipher which are deprecated to improve the security posture of Azure AD."),
    known(7_000_112, Kind::UnauthorizedClient, "Application is disabled."),
    known(7_000_215, Kind::InvalidClient, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to the app."),
    known(7_000_216, Kind::InvalidClient, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."),
    known(7_000_218, Kind::InvalidClient, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
    known(7_000_222, Kind::InvalidClient, "The provided client secret keys for the app are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."),
    known(7_000_229, Kind::UnauthorizedClient, "The client application is missing service principal in the tenant exorelay sandbox. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"),
    known(9_001_023, Kind::InvalidRequest, "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint."),
    known(9_002_313, Kind::InvalidRequest, "Invalid request. Request is malformed or invalid."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_found_once() {
        assert!(KNOWN.is_sorted_by(|one, next| one.code < next.code));
        for known in KNOWN {
            assert_eq!(find(known.code), Some(known));
        }
        assert_eq!(find(12_345), None);
    }
}
