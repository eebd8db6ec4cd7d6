//! Clients and tokens of the OAuth 2.0 servers.

use http::Method;

use super::super::Action::*;
use super::super::Holds::{Number, Text};
use super::super::{Endpoint, Parameter, Shape};
use super::{FAILED, FAULTY, MODIFIED, NOT_FOUND, UNPROCESSABLE, delete, get, parameter, post, put, row};

const API: Parameter = parameter("api_id", Text, "The API that gave it.");

pub(super) static ROWS: &[Endpoint] = &[
    post(
        "/oauth/authorize-client",
        AuthorizeOAuthClient,
        Shape::AuthorizeForm,
        "Gives a code or a token for a user who has logged in; as the same path below an API's listen path.",
        &[(200, Shape::Anything), FAULTY, NOT_FOUND],
    ),
    post(
        "/oauth/clients/create",
        CreateOAuthClient,
        Shape::OAuthClient,
        "Adds a client to an API, or to those of its policy; without `client_id` and `secret` it gets them; with `public` it has no secret.",
        &[(200, Shape::OAuthClient), FAULTY, FAILED],
    ),
    get(
        "/oauth/clients/{api}",
        ListOAuthClients,
        "The clients of an API.",
        &[(200, Shape::OAuthClients), (404, Shape::Anything)],
    ),
    get(
        "/oauth/clients/apis/{client}",
        ListApisOfOAuthClient,
        "Ids of the APIs that know a client.",
        &[(200, Shape::Anything)],
    )
    .with(&[parameter("orgID", Text, "Only APIs of this organisation.")]),
    get(
        "/oauth/clients/{api}/{client}",
        GetOAuthClient,
        "One client.",
        &[(200, Shape::OAuthClient), NOT_FOUND],
    ),
    put(
        "/oauth/clients/{api}/{client}",
        ReplaceOAuthClient,
        Shape::OAuthClient,
        "Changes a client; id and secret stay, and with another policy its tokens are revoked.",
        &[(200, Shape::OAuthClient), FAULTY, NOT_FOUND, FAILED],
    ),
    delete(
        "/oauth/clients/{api}/{client}",
        DeleteOAuthClient,
        "Removes a client and revokes its tokens.",
        &[MODIFIED, NOT_FOUND],
    ),
    row(
        Method::PUT,
        "/oauth/clients/{api}/{client}/rotate",
        RotateOAuthClient,
        None,
        "Gives a client another secret.",
        &[(200, Shape::OAuthClient), FAULTY, NOT_FOUND, FAILED],
    ),
    get(
        "/oauth/clients/{api}/{client}/tokens",
        ListOAuthTokens,
        "The tokens of a client that have not ended: their names in the store, and when they end.",
        &[(200, Shape::Anything), NOT_FOUND],
    )
    .with(&[parameter("page", Number, "This page of a hundred, with their number.")]),
    delete(
        "/oauth/refresh/{token}",
        DeleteOAuthRefresh,
        "Revokes a refresh token.",
        &[MODIFIED, FAULTY, NOT_FOUND],
    )
    .with(&[API]),
    post(
        "/oauth/revoke",
        RevokeOAuthToken,
        Shape::RevokeForm,
        "Revokes a token.",
        &[(200, Shape::Done), FAULTY],
    ),
    post(
        "/oauth/revoke_all",
        RevokeOAuthTokens,
        Shape::RevokeAllForm,
        "Revokes all tokens of a client.",
        &[(200, Shape::Done), FAULTY, (401, Shape::Refused), NOT_FOUND],
    ),
    delete(
        "/oauth/tokens",
        PurgeOAuthTokens,
        "Forgets tokens that have ended.",
        &[(200, Shape::Done), FAULTY, UNPROCESSABLE],
    )
    .with(&[parameter("scope", Text, "Needed: which of them; `lapsed`.")]),
];
