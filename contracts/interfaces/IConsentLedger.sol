// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Owners' consent: who may use which asset for which purpose
/// @notice Status follows the DPV: *withdrawn* by the owner, *revoked* by another party.
interface IConsentLedger {
    enum Status {
        None,
        Given,
        Withdrawn,
        Revoked
    }

    /// @param asset what the consent is about.
    /// @param grantee person or organisation that may use it.
    /// @param purpose hash of the IRI of a DPV purpose.
    /// @param scope set of allowed actions: 1 read, 2 write, 4 export.
    /// @param until last second of validity, Unix time.
    /// @param record hash of the off-chain consent record (ISO/IEC TS 27560).
    struct Terms {
        bytes32 asset;
        address grantee;
        bytes32 purpose;
        uint8 scope;
        uint40 until;
        bytes32 record;
    }

    /// @notice The owner allowed a use. `version` counts what happened to the consent for the same asset, grantee and
    /// purpose: each giving and each ending moves it on by one. It never goes back, and 2^40 changes are out of reach.
    event ConsentGiven(
        bytes32 indexed asset,
        address indexed grantee,
        bytes32 indexed purpose,
        uint40 version,
        uint8 scope,
        uint40 until,
        bytes32 record
    );
    /// @notice The owner took the consent back. `version` is the withdrawal's own, one more than the consent's.
    event ConsentWithdrawn(
        bytes32 indexed asset, address indexed grantee, bytes32 indexed purpose, uint40 version
    );
    /// @notice Somebody other than the owner ended the consent. `version` is as in `ConsentWithdrawn`.
    event ConsentRevoked(
        bytes32 indexed asset, address indexed grantee, bytes32 indexed purpose, uint40 version, address by, bytes32 reason
    );

    /// @notice Only the controller of the asset's owner gives and withdraws.
    error ConsentLedgerNotController(bytes32 asset, address account);
    /// @notice Scope is empty or has unknown bits, the end lies in the past, or the grantee is zero.
    error ConsentLedgerInvalidTerms(bytes32 asset);
    /// @notice There is no consent in force to end.
    error ConsentLedgerNotInForce(bytes32 asset, address grantee, bytes32 purpose);
    /// @notice The signature came after its deadline.
    error ConsentLedgerSignatureExpired(uint256 deadline);
    /// @notice The signature is not the controller's over these terms, the version they replace, and the deadline.
    error ConsentLedgerInvalidSignature(address signer);

    /// @notice Give consent as the owner's controller. A consent in force is replaced; grants resting on it end.
    function give(Terms calldata terms) external;
    /// @notice Give many consents at once.
    function giveMany(Terms[] calldata terms) external;
    /// @notice Give consent with the controller's EIP-712 signature; anybody may hand it in, once.
    /// @dev What is signed is `Consent(bytes32 asset,address grantee,bytes32 purpose,uint8 scope,uint40 until,bytes32
    /// record,uint40 replaces,uint256 deadline)`, where `replaces` is the version that stood when it was signed, 0
    /// where there was none. Whatever moves the version on kills every signature made before: a consent given in person
    /// or by another signature, a withdrawal, a revocation. Other assets, grantees and purposes are not touched.
    function giveBySig(Terms calldata terms, uint256 deadline, bytes calldata signature) external;
    /// @notice Take a consent back: at once and for good. A renewal is a new consent.
    function withdraw(bytes32 asset, address grantee, bytes32 purpose) external;
    /// @notice End a consent as another party that the authority allows to (a court, a regulator).
    function revoke(bytes32 asset, address grantee, bytes32 purpose, bytes32 reason) external;

    /// @notice Whether `grantee` has a consent in force.
    function isValid(bytes32 asset, address grantee, bytes32 purpose) external view returns (bool);
    /// @notice Version of the consent in force that allows `scope`; 0 where there is none.
    function versionCovering(bytes32 asset, address grantee, bytes32 purpose, uint8 scope)
        external
        view
        returns (uint40);
    /// @notice The latest consent, in force or not, and the version it has now. Status None: never given.
    function consentOf(bytes32 asset, address grantee, bytes32 purpose)
        external
        view
        returns (Status status, uint40 version, uint8 scope, uint40 until);
}
