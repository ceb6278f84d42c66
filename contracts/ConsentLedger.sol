// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IAssetRegistry} from "./interfaces/IAssetRegistry.sol";
import {IConsentLedger} from "./interfaces/IConsentLedger.sol";
import {IDidRegistry} from "./interfaces/IDidRegistry.sol";

/// @title ConsentLedger
/// @notice One slot per (asset, grantee, purpose). The version in it moves on with each change and never back: a grant
/// that rests on a consent which ended never comes back to life, and a signature counts for one state only.
contract ConsentLedger is AccessManaged, EIP712, IConsentLedger {
    struct Consent {
        uint40 until;
        uint40 version;
        uint8 scope;
        Status status;
    }

    uint8 private constant ALL_SCOPES = 7;
    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Consent(bytes32 asset,address grantee,bytes32 purpose,uint8 scope,uint40 until,bytes32 record,uint40 replaces,uint256 deadline)"
    );

    IAssetRegistry private immutable _ASSETS;
    IDidRegistry private immutable _IDENTITIES;

    mapping(bytes32 asset => mapping(address grantee => mapping(bytes32 purpose => Consent))) private _consents;

    /// @param authority the AccessManager that decides who calls what.
    /// @param assets registry that names each asset's owner.
    /// @param identities ERC-1056 registry that names each owner's controller.
    constructor(address authority, IAssetRegistry assets, IDidRegistry identities)
        AccessManaged(authority)
        EIP712("ChainSec ConsentLedger", "1")
    {
        _ASSETS = assets;
        _IDENTITIES = identities;
    }

    /// @inheritdoc IConsentLedger
    function give(Terms calldata terms) external {
        _requireController(terms.asset, msg.sender);
        _give(terms);
    }

    /// @inheritdoc IConsentLedger
    function giveMany(Terms[] calldata terms) external {
        bytes32 controlled;
        for (uint256 i = 0; i < terms.length; ++i) {
            if (i == 0 || terms[i].asset != controlled) {
                controlled = terms[i].asset;
                _requireController(controlled, msg.sender);
            }
            _give(terms[i]);
        }
    }

    /// @inheritdoc IConsentLedger
    function giveBySig(Terms calldata terms, uint256 deadline, bytes calldata signature) external {
        if (block.timestamp > deadline) revert ConsentLedgerSignatureExpired(deadline);
        address controller = _controllerOf(terms.asset);
        bytes32 structHash = keccak256(
            abi.encode(
                TERMS_TYPEHASH,
                terms.asset,
                terms.grantee,
                terms.purpose,
                terms.scope,
                terms.until,
                terms.record,
                _consents[terms.asset][terms.grantee][terms.purpose].version,
                deadline
            )
        );
        if (!SignatureChecker.isValidSignatureNowCalldata(controller, _hashTypedDataV4(structHash), signature)) {
            revert ConsentLedgerInvalidSignature(controller);
        }
        _give(terms);
    }

    /// @inheritdoc IConsentLedger
    function withdraw(bytes32 asset, address grantee, bytes32 purpose) external {
        _requireController(asset, msg.sender);
        uint40 version = _end(asset, grantee, purpose, Status.Withdrawn);
        emit ConsentWithdrawn(asset, grantee, purpose, version);
    }

    /// @inheritdoc IConsentLedger
    function revoke(bytes32 asset, address grantee, bytes32 purpose, bytes32 reason) external restricted {
        uint40 version = _end(asset, grantee, purpose, Status.Revoked);
        emit ConsentRevoked(asset, grantee, purpose, version, msg.sender, reason);
    }

    /// @inheritdoc IConsentLedger
    function isValid(bytes32 asset, address grantee, bytes32 purpose) external view returns (bool) {
        Consent storage consent = _consents[asset][grantee][purpose];
        return _inForce(consent.status, consent.until);
    }

    /// @inheritdoc IConsentLedger
    function versionCovering(bytes32 asset, address grantee, bytes32 purpose, uint8 scope)
        external
        view
        returns (uint40)
    {
        Consent storage consent = _consents[asset][grantee][purpose];
        return _inForce(consent.status, consent.until) && consent.scope & scope == scope ? consent.version : 0;
    }

    /// @inheritdoc IConsentLedger
    function consentOf(bytes32 asset, address grantee, bytes32 purpose)
        external
        view
        returns (Status status, uint40 version, uint8 scope, uint40 until)
    {
        Consent memory consent = _consents[asset][grantee][purpose];
        return (consent.status, consent.version, consent.scope, consent.until);
    }

    function _give(Terms calldata terms) private {
        if (
            terms.scope == 0 || terms.scope > ALL_SCOPES || terms.until < block.timestamp || terms.grantee == address(0)
        ) revert ConsentLedgerInvalidTerms(terms.asset);
        Consent storage consent = _consents[terms.asset][terms.grantee][terms.purpose];
        uint40 version = consent.version + 1;
        consent.until = terms.until;
        consent.version = version;
        consent.scope = terms.scope;
        consent.status = Status.Given;
        emit ConsentGiven(
            terms.asset, terms.grantee, terms.purpose, version, terms.scope, terms.until, terms.record
        );
    }

    function _end(bytes32 asset, address grantee, bytes32 purpose, Status status) private returns (uint40 version) {
        Consent storage consent = _consents[asset][grantee][purpose];
        if (!_inForce(consent.status, consent.until)) revert ConsentLedgerNotInForce(asset, grantee, purpose);
        version = consent.version + 1;
        consent.version = version;
        consent.status = status;
    }

    function _requireController(bytes32 asset, address account) private view {
        if (_controllerOf(asset) != account) revert ConsentLedgerNotController(asset, account);
    }

    function _controllerOf(bytes32 asset) private view returns (address) {
        return _IDENTITIES.identityOwner(_ASSETS.ownerOf(asset));
    }

    /// @dev Takes values, not the slot: the caller reads it once, for this and for the rest.
    function _inForce(Status status, uint40 until) private view returns (bool) {
        return status == Status.Given && block.timestamp <= until;
    }
}
