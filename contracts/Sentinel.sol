// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IAccessGrants} from "./interfaces/IAccessGrants.sol";
import {ISentinel} from "./interfaces/ISentinel.sol";

/// @title Sentinel
/// @notice Holds the limits; what is limited lives in AccessGrants. Limits and the use made of them share one slot, so
/// that a batch of decisions reads and writes it once.
contract Sentinel is AccessManaged, ISentinel {
    using Address for address;

    /// @dev 248 bits. `window` numbers the window that the two counters belong to.
    struct Bounds {
        uint8 sensitivityCeiling;
        uint24 window_s;
        uint24 grantsPerWindow;
        uint24 restrictionsPerWindow;
        uint32 maxQuarantine_s;
        uint32 maxGrant_s;
        uint40 window;
        uint24 granted;
        uint24 restricted;
        bool suspended;
    }

    uint8 private constant MAX_SENSITIVITY = 3;

    IAccessGrants private immutable _GRANTS;

    Bounds private _bounds;
    mapping(address requester => uint40) private _shieldedUntil;

    modifier inService(bytes32 receipt) {
        if (_bounds.suspended) revert SentinelAgentSuspended();
        if (receipt == bytes32(0)) revert SentinelReceiptMissing();
        _;
    }

    /// @param authority the AccessManager that decides who calls what.
    /// @param grants where decisions take effect.
    /// @param limits the first limits.
    constructor(address authority, IAccessGrants grants, Limits memory limits) AccessManaged(authority) {
        _GRANTS = grants;
        _setLimits(limits);
    }

    /// @inheritdoc ISentinel
    function decide(IAccessGrants.Decision calldata decision) external restricted {
        bytes32 id = _GRANTS.requestId(decision.request);
        if (uint8(_GRANTS.statusOf(id)) > uint8(IAccessGrants.Status.Pending)) revert SentinelAlreadyDecided(id);
        _pass(1, msg.data[4:]);
    }

    /// @inheritdoc ISentinel
    function decideMany(IAccessGrants.Decision[] calldata decisions) external restricted {
        _pass(decisions.length, msg.data[68:]);
    }

    /// @inheritdoc ISentinel
    function revoke(IAccessGrants.Request calldata item, bytes32 receipt) external restricted inService(receipt) {
        _spendRestriction();
        _GRANTS.revoke(item, receipt);
    }

    /// @inheritdoc ISentinel
    function quarantine(address requester, uint40 ttl_s, bytes32 receipt) external restricted inService(receipt) {
        uint32 maximum_s = _bounds.maxQuarantine_s;
        if (ttl_s == 0 || ttl_s > maximum_s) revert SentinelQuarantineTooLong(ttl_s, maximum_s);
        uint40 shielded = _shieldedUntil[requester];
        if (block.timestamp <= shielded) revert SentinelShielded(requester, shielded);
        _spendRestriction();
        _GRANTS.quarantine(requester, uint40(block.timestamp) + ttl_s, receipt);
    }

    /// @inheritdoc ISentinel
    function raiseAlert(address subject, bytes32 kind, uint8 severity, bytes32 receipt)
        external
        restricted
        inService(receipt)
    {
        emit AlertRaised(subject, kind, severity, receipt);
    }

    /// @inheritdoc ISentinel
    function approve(IAccessGrants.Request calldata item, bytes32 receipt) external restricted {
        IAccessGrants.Basis basis = _overrule(item, IAccessGrants.Verdict.Grant, receipt);
        if (basis != IAccessGrants.Basis.Agreed) revert SentinelCannotGrant(_GRANTS.requestId(item), basis);
    }

    /// @inheritdoc ISentinel
    function cancel(IAccessGrants.Request calldata item, bytes32 receipt) external restricted {
        _overrule(item, IAccessGrants.Verdict.Deny, receipt);
    }

    /// @inheritdoc ISentinel
    function release(address requester, bytes32 receipt) external restricted {
        if (receipt == bytes32(0)) revert SentinelReceiptMissing();
        _shieldedUntil[requester] = uint40(block.timestamp) + _bounds.maxQuarantine_s;
        _GRANTS.release(requester, receipt);
    }

    /// @inheritdoc ISentinel
    function suspendAgent() external restricted {
        _bounds.suspended = true;
        emit AgentSuspended(msg.sender);
    }

    /// @inheritdoc ISentinel
    function resumeAgent() external restricted {
        _bounds.suspended = false;
        emit AgentResumed(msg.sender);
    }

    /// @inheritdoc ISentinel
    function setLimits(Limits calldata limits) external restricted {
        _setLimits(limits);
    }

    /// @inheritdoc ISentinel
    function limitsInForce() external view returns (Limits memory) {
        Bounds memory bounds = _bounds;
        return Limits(
            bounds.sensitivityCeiling,
            bounds.window_s,
            bounds.grantsPerWindow,
            bounds.restrictionsPerWindow,
            bounds.maxQuarantine_s,
            bounds.maxGrant_s
        );
    }

    /// @inheritdoc ISentinel
    function budgetLeft() external view returns (uint24 grants, uint24 restrictions) {
        Bounds memory bounds = _currentBounds();
        return (_left(bounds.grantsPerWindow, bounds.granted), _left(bounds.restrictionsPerWindow, bounds.restricted));
    }

    /// @inheritdoc ISentinel
    function isAgentSuspended() external view returns (bool) {
        return _bounds.suspended;
    }

    /// @inheritdoc ISentinel
    function shieldedUntil(address requester) external view returns (uint40) {
        return _shieldedUntil[requester];
    }

    /// @dev Hands decisions on as the bytes they came in, with what bounds them: nothing in them is read here.
    function _pass(uint256 count, bytes calldata decisions) private {
        Bounds memory bounds = _currentBounds();
        if (bounds.suspended) revert SentinelAgentSuspended();
        bytes memory message = abi.encodePacked(
            IAccessGrants.decideMany.selector,
            uint256(4 * 32),
            uint256(bounds.sensitivityCeiling),
            uint256(_left(bounds.grantsPerWindow, bounds.granted)),
            block.timestamp + bounds.maxGrant_s,
            count,
            decisions
        );
        bounds.granted += abi.decode(address(_GRANTS).functionCall(message), (uint24));
        _bounds = bounds;
    }

    function _overrule(IAccessGrants.Request calldata item, IAccessGrants.Verdict verdict, bytes32 receipt)
        private
        returns (IAccessGrants.Basis)
    {
        if (receipt == bytes32(0)) revert SentinelReceiptMissing();
        return _GRANTS.overrule(IAccessGrants.Decision(item, verdict, receipt));
    }

    function _spendRestriction() private {
        Bounds memory bounds = _currentBounds();
        if (bounds.restricted >= bounds.restrictionsPerWindow) revert SentinelBudgetSpent(bounds.restrictionsPerWindow);
        ++bounds.restricted;
        _bounds = bounds;
    }

    /// @dev What the running window has used counts against the new limits, also where they are lower than that.
    function _setLimits(Limits memory limits) private {
        if (limits.sensitivityCeiling > MAX_SENSITIVITY || limits.window_s == 0) revert SentinelInvalidLimits();
        Bounds memory bounds = _bounds.window_s == 0 ? _bounds : _currentBounds();
        bounds.sensitivityCeiling = limits.sensitivityCeiling;
        bounds.window_s = limits.window_s;
        bounds.grantsPerWindow = limits.grantsPerWindow;
        bounds.restrictionsPerWindow = limits.restrictionsPerWindow;
        bounds.maxQuarantine_s = limits.maxQuarantine_s;
        bounds.maxGrant_s = limits.maxGrant_s;
        bounds.window = uint40(block.timestamp / limits.window_s);
        _bounds = bounds;
        emit LimitsSet(limits);
    }

    function _left(uint24 perWindow, uint24 used) private pure returns (uint24) {
        return perWindow > used ? perWindow - used : 0;
    }

    function _currentBounds() private view returns (Bounds memory bounds) {
        bounds = _bounds;
        uint40 window = uint40(block.timestamp / bounds.window_s);
        if (window != bounds.window) {
            bounds.window = window;
            bounds.granted = 0;
            bounds.restricted = 0;
        }
    }
}
