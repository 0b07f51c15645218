//! The steps at Google (facts G.4).

pub(super) fn steps() -> String {
    "Google Cloud console, https://console.cloud.google.com\n\
     \n  \
     1. APIs & Services > OAuth consent screen: Internal, for a Workspace. While it is External and \"Testing\", a \
     sign-in\n     ends after 7 days.\n  \
     2. Scope: https://mail.google.com/ (gmail.send is for Google's REST API alone, and not enough).\n  \
     3. Credentials > Create > OAuth client ID > Desktop app: client ID and client secret are those of the settings.\n"
        .to_owned()
}
