// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessGrants} from "./interfaces/IAccessGrants.sol";
import {IAssetRegistry} from "./interfaces/IAssetRegistry.sol";
import {IConsentLedger} from "./interfaces/IConsentLedger.sol";
import {IDidRegistry} from "./interfaces/IDidRegistry.sol";

/// @title AccessGrants
/// @notice One slot for a request, one for a grant. A request is identified by the hash of its fields: the slot holds
/// where it stands, the event and the next caller hold the rest.
contract AccessGrants is AccessManaged, IAccessGrants {
    struct RequestState {
        Status status;
        uint40 requestedAt;
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
    mapping(address requester => mapping(bytes32 asset => mapping(bytes32 purpose => Grant))) private _grants;
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
        if (decision.verdict != Verdict.Grant && _grants[item.requester][item.asset][item.purpose].until != 0) {
            delete _grants[item.requester][item.asset][item.purpose];
            emit AccessRevoked(item.requester, item.asset, item.purpose, decision.receipt);
        }
        return _settle(id, decision, Bounds(type(uint8).max, 1, type(uint40).max));
    }

    /// @inheritdoc IAccessGrants
    function revoke(address requester, bytes32 asset, bytes32 purpose, bytes32 receipt) external onlyDoor {
        if (_grants[requester][asset][purpose].until == 0) revert AccessGrantsNoGrant(requester, asset, purpose);
        delete _grants[requester][asset][purpose];
        emit AccessRevoked(requester, asset, purpose, receipt);
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
        return _grants[requester][asset][purpose];
    }

    /// @inheritdoc IAccessGrants
    function statusOf(bytes32 id) external view returns (Status status, uint40 requestedAt) {
        RequestState memory state = _requests[id];
        return (state.status, state.requestedAt);
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
        Grant memory grant = _grants[requester][asset][purpose];
        if (scope == 0 || grant.scope & scope != scope) return Basis.NoGrant;
        if (block.timestamp > grant.until) return Basis.Expired;
        (Basis basis, uint48 version) = _standing(requester, grant.organisation, asset, purpose, scope);
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
        RequestState storage state = _requests[id];
        if (state.status != Status.None) revert AccessGrantsDuplicateRequest(id);
        if (item.scope == 0 || item.scope > ALL_SCOPES || item.until < block.timestamp) {
            revert AccessGrantsInvalidRequest(id);
        }
        state.status = Status.Pending;
        state.requestedAt = uint40(block.timestamp);
        emit AccessRequested(
            id, item.requester, item.asset, item.organisation, item.purpose, item.scope, item.until, item.context
        );
    }

    /// @dev The contract has the last word: a grant that does not stand becomes a denial with its reason, one that
    /// would stand but goes beyond the bounds an escalation. Takes what it grants off `left`.
    function _settle(bytes32 id, Decision calldata decision, Bounds memory left) private returns (Basis basis) {
        if (decision.receipt == bytes32(0)) revert AccessGrantsReceiptMissing(id);
        Status outcome = decision.verdict == Verdict.Escalate ? Status.Escalated : Status.Denied;
        uint40 until;
        if (decision.verdict == Verdict.Grant) {
            (basis, until) = _grant(decision.request, left);
            if (basis == Basis.Agreed) outcome = Status.Granted;
            else if (basis == Basis.AboveCeiling || basis == Basis.BudgetSpent) outcome = Status.Escalated;
        }
        _requests[id].status = outcome;
        emit AccessDecided(id, outcome, basis, until, decision.receipt);
    }

    function _grant(Request calldata item, Bounds memory left) private returns (Basis, uint40 until) {
        (address requester, address organisation, uint8 scope) = (item.requester, item.organisation, item.scope);
        (Basis basis, uint48 version) = _standing(requester, organisation, item.asset, item.purpose, scope);
        if (basis != Basis.Agreed) return (basis, 0);
        until = item.until < left.latestUntil ? item.until : left.latestUntil;
        if (block.timestamp > until) return (Basis.Expired, 0);
        if (left.grantsLeft == 0) return (Basis.BudgetSpent, 0);
        if (_ASSETS.sensitivityOf(item.asset) > left.ceiling) return (Basis.AboveCeiling, 0);
        --left.grantsLeft;
        Grant storage grant = _grants[requester][item.asset][item.purpose];
        grant.organisation = organisation;
        grant.until = until;
        grant.consentVersion = version;
        grant.scope = scope;
        return (Basis.Agreed, until);
    }

    function _statusOfKnown(bytes32 id) private view returns (Status status) {
        status = _requests[id].status;
        if (status == Status.None) revert AccessGrantsUnknownRequest(id);
    }

    /// @dev Everything that must hold besides the grant itself and membership: a gateway answers for its members when
    /// it files, and each use looks again, so that nobody who left keeps anything.
    function _standing(address requester, address organisation, bytes32 asset, bytes32 purpose, uint8 scope)
        private
        view
        returns (Basis, uint48 version)
    {
        if (_paused) return (Basis.Paused, 0);
        if (block.timestamp <= _quarantinedUntil[requester]) return (Basis.Quarantined, 0);
        version = _CONSENTS.versionCovering(asset, organisation, purpose, scope);
        return (version == 0 ? Basis.NoConsent : Basis.Agreed, version);
    }

    function _isMember(address organisation, address requester) private view returns (bool) {
        return requester == organisation || _IDENTITIES.validDelegate(organisation, MEMBER, requester);
    }
}
