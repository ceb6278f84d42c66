// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessGrants} from "./interfaces/IAccessGrants.sol";
import {IAssetRegistry} from "./interfaces/IAssetRegistry.sol";
import {IConsentLedger} from "./interfaces/IConsentLedger.sol";
import {IDidRegistry} from "./interfaces/IDidRegistry.sol";

/// @title AccessGrants
/// @notice One slot for a request, one for a grant. A request is identified by the hash of its fields: its slot holds
/// where it stands and what it was granted, the event and the next caller hold the rest. A grant is the identifier of
/// the request that it answers, so that whoever undoes a request ends its own grant and no other.
contract AccessGrants is AccessManaged, IAccessGrants {
    /// @dev 256 bits. All but the status are 0 unless the request is granted.
    struct RequestState {
        Status status;
        uint8 scope;
        uint40 until;
        uint40 consentVersion;
        address organisation;
    }

    /// @inheritdoc IAccessGrants
    bytes32 public constant MEMBER = "chainsec.member";
    /// @inheritdoc IAccessGrants
    bytes32 public constant GATEWAY = "chainsec.gateway";

    uint8 private constant ALL_SCOPES = 7;

    IAssetRegistry private immutable _ASSETS;
    IConsentLedger private immutable _CONSENTS;
    IDidRegistry private immutable _IDENTITIES;

    mapping(bytes32 id => RequestState) private _requests;
    mapping(address requester => mapping(bytes32 asset => mapping(bytes32 purpose => bytes32 id))) private _grants;
    mapping(address requester => uint40) private _quarantinedUntil;
    address private _door;
    bool private _paused;

    modifier onlyDoor() {
        if (msg.sender != _door) revert AccessGrantsNotTheDoor(msg.sender);
        _;
    }

    /// @param authority the AccessManager that decides who calls what.
    /// @param assets registry that knows how sensitive an asset is.
    /// @param consents ledger of owners' consent.
    /// @param identities ERC-1056 registry that names organisations' members and gateways.
    constructor(address authority, IAssetRegistry assets, IConsentLedger consents, IDidRegistry identities)
        AccessManaged(authority)
    {
        _ASSETS = assets;
        _CONSENTS = consents;
        _IDENTITIES = identities;
    }

    /// @inheritdoc IAccessGrants
    function request(bytes32 asset, bytes32 purpose, uint8 scope, uint40 until, bytes32 context)
        external
        returns (bytes32 id)
    {
        return _record(Request(msg.sender, msg.sender, asset, purpose, scope, until, context));
    }

    /// @inheritdoc IAccessGrants
    function requestMany(address organisation, Filing[] calldata filings) external {
        if (!_IDENTITIES.validDelegate(organisation, GATEWAY, msg.sender)) {
            revert AccessGrantsNotItsGateway(organisation, msg.sender);
        }
        for (uint256 i = 0; i < filings.length; ++i) {
            Filing calldata f = filings[i];
            _record(Request(f.requester, organisation, f.asset, f.purpose, f.scope, f.until, f.context));
        }
    }

    /// @inheritdoc IAccessGrants
    function decideMany(Decision[] calldata decisions, Bounds calldata bounds)
        external
        onlyDoor
        returns (uint24 granted)
    {
        Bounds memory left = bounds;
        for (uint256 i = 0; i < decisions.length; ++i) {
            Decision calldata decision = decisions[i];
            bytes32 id = requestId(decision.request);
            if (_statusOfKnown(id) == Status.Pending) _settle(id, decision, left);
            else emit DecisionSkipped(id, decision.receipt);
        }
        return bounds.grantsLeft - left.grantsLeft;
    }

    /// @inheritdoc IAccessGrants
    function overrule(Decision calldata decision) external onlyDoor returns (Basis basis) {
        Request calldata item = decision.request;
        bytes32 id = requestId(item);
        _statusOfKnown(id);
        if (decision.verdict != Verdict.Grant && _isGrantOf(id, item)) _end(item, decision.receipt);
        delete _requests[id];
        return _settle(id, decision, Bounds(type(uint8).max, 1, type(uint40).max));
    }

    /// @inheritdoc IAccessGrants
    function revoke(Request calldata item, bytes32 receipt) external onlyDoor {
        bytes32 id = requestId(item);
        if (!_isGrantOf(id, item)) revert AccessGrantsNoGrant(id);
        _end(item, receipt);
    }

    /// @inheritdoc IAccessGrants
    function quarantine(address requester, uint40 until, bytes32 receipt) external onlyDoor {
        uint40 end = _quarantinedUntil[requester];
        if (until > end) {
            _quarantinedUntil[requester] = until;
            end = until;
        }
        emit RequesterQuarantined(requester, end, receipt);
    }

    /// @inheritdoc IAccessGrants
    function release(address requester, bytes32 receipt) external onlyDoor {
        delete _quarantinedUntil[requester];
        emit RequesterReleased(requester, receipt);
    }

    /// @inheritdoc IAccessGrants
    function pause() external restricted {
        _paused = true;
        emit AccessPaused(msg.sender);
    }

    /// @inheritdoc IAccessGrants
    function resume() external restricted {
        _paused = false;
        emit AccessResumed(msg.sender);
    }

    /// @inheritdoc IAccessGrants
    function setDoor(address newDoor) external restricted {
        _door = newDoor;
        emit DoorSet(newDoor);
    }

    /// @inheritdoc IAccessGrants
    function door() external view returns (address) {
        return _door;
    }

    /// @inheritdoc IAccessGrants
    function hasAccess(address requester, bytes32 asset, bytes32 purpose, uint8 scope) external view returns (bool) {
        return accessBasis(requester, asset, purpose, scope) == Basis.Agreed;
    }

    /// @inheritdoc IAccessGrants
    function grantOf(address requester, bytes32 asset, bytes32 purpose) external view returns (Grant memory) {
        bytes32 id = _grants[requester][asset][purpose];
        RequestState memory state = _requests[id];
        return Grant(id, state.organisation, state.until, state.consentVersion, state.scope);
    }

    /// @inheritdoc IAccessGrants
    function statusOf(bytes32 id) external view returns (Status) {
        return _requests[id].status;
    }

    /// @inheritdoc IAccessGrants
    function quarantinedUntil(address requester) external view returns (uint40) {
        return _quarantinedUntil[requester];
    }

    /// @inheritdoc IAccessGrants
    function isPaused() external view returns (bool) {
        return _paused;
    }

    /// @inheritdoc IAccessGrants
    function accessBasis(address requester, bytes32 asset, bytes32 purpose, uint8 scope)
        public
        view
        returns (Basis)
    {
        RequestState memory grant = _requests[_grants[requester][asset][purpose]];
        if (scope == 0 || grant.scope & scope != scope) return Basis.NoGrant;
        if (block.timestamp > grant.until) return Basis.Expired;
        (Basis basis, uint40 version) = _standing(requester, grant.organisation, asset, purpose, scope);
        if (basis != Basis.Agreed) return basis;
        if (version != grant.consentVersion) return Basis.NoConsent;
        return _isMember(grant.organisation, requester) ? Basis.Agreed : Basis.NotMember;
    }

    /// @inheritdoc IAccessGrants
    function requestId(Request calldata item) public pure returns (bytes32 id) {
        assembly ("memory-safe") {
            // The encoding of a struct without dynamic parts is the call data it came in: seven words. Dirty upper
            // bits give an identifier that nobody requested.
            let free := mload(0x40)
            calldatacopy(free, item, 0xe0)
            id := keccak256(free, 0xe0)
        }
    }

    function _record(Request memory item) private returns (bytes32 id) {
        id = keccak256(abi.encode(item));
        if (_requests[id].status != Status.None) revert AccessGrantsDuplicateRequest(id);
        if (item.scope == 0 || item.scope > ALL_SCOPES || item.until < block.timestamp) {
            revert AccessGrantsInvalidRequest(id);
        }
        _requests[id].status = Status.Pending;
        emit AccessRequested(
            id, item.requester, item.asset, item.organisation, item.purpose, item.scope, item.until, item.context
        );
    }

    /// @dev The contract has the last word on a grant; every other verdict stands as it is.
    function _settle(bytes32 id, Decision calldata decision, Bounds memory left) private returns (Basis basis) {
        if (decision.receipt == bytes32(0)) revert AccessGrantsReceiptMissing(id);
        Status outcome = decision.verdict == Verdict.Escalate ? Status.Escalated : Status.Denied;
        uint40 until;
        if (decision.verdict == Verdict.Grant) {
            (basis, until) = _grant(id, decision.request, left);
            outcome = _outcomeOf(basis);
        }
        if (outcome != Status.Granted) _requests[id].status = outcome;
        emit AccessDecided(id, outcome, basis, until, decision.receipt);
    }

    /// @dev Takes what it grants off `left`.
    function _grant(bytes32 id, Request calldata item, Bounds memory left) private returns (Basis, uint40 until) {
        until = item.until < left.latestUntil ? item.until : left.latestUntil;
        if (block.timestamp > until) return (Basis.Expired, 0);
        (address requester, address organisation, uint8 scope) = (item.requester, item.organisation, item.scope);
        (Basis basis, uint40 version) = _standing(requester, organisation, item.asset, item.purpose, scope);
        if (basis != Basis.Agreed) return (basis, 0);
        if (left.grantsLeft == 0) return (Basis.BudgetSpent, 0);
        if (_ASSETS.sensitivityOf(item.asset) > left.ceiling) return (Basis.AboveCeiling, 0);
        --left.grantsLeft;
        _requests[id] = RequestState(Status.Granted, scope, until, version, organisation);
        _grants[requester][item.asset][item.purpose] = id;
        return (Basis.Agreed, until);
    }

    /// @dev What no guardian could grant either is denied: it has run out, or no consent covers it. What stands in the
    /// way for now, or in the agent's way only, is escalated.
    function _outcomeOf(Basis basis) private pure returns (Status) {
        if (basis == Basis.Agreed) return Status.Granted;
        return basis == Basis.Expired || basis == Basis.NoConsent ? Status.Denied : Status.Escalated;
    }

    function _end(Request calldata item, bytes32 receipt) private {
        delete _grants[item.requester][item.asset][item.purpose];
        emit AccessRevoked(item.requester, item.asset, item.purpose, receipt);
    }

    function _isGrantOf(bytes32 id, Request calldata item) private view returns (bool) {
        return _grants[item.requester][item.asset][item.purpose] == id;
    }

    function _statusOfKnown(bytes32 id) private view returns (Status status) {
        status = _requests[id].status;
        if (status == Status.None) revert AccessGrantsUnknownRequest(id);
    }

    /// @dev Everything that must hold besides the grant itself and membership: a gateway answers for its members when
    /// it files, and each use looks again, so that nobody who left keeps anything. Consent comes first, because a lack
    /// of it is final and the rest passes.
    function _standing(address requester, address organisation, bytes32 asset, bytes32 purpose, uint8 scope)
        private
        view
        returns (Basis, uint40 version)
    {
        version = _CONSENTS.versionCovering(asset, organisation, purpose, scope);
        if (version == 0) return (Basis.NoConsent, 0);
        if (_paused) return (Basis.Paused, 0);
        if (block.timestamp <= _quarantinedUntil[requester]) return (Basis.Quarantined, 0);
        return (Basis.Agreed, version);
    }

    function _isMember(address organisation, address requester) private view returns (bool) {
        return requester == organisation || _IDENTITIES.validDelegate(organisation, MEMBER, requester);
    }
}
