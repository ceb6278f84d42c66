// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessGrants} from "./IAccessGrants.sol";

/// @title The agent's only door, and the guardians' desk
/// @notice Whoever holds the agent's key can deny, delay and lock out, within budgets and for bounded times; it can
/// grant only what consent, ceiling and budget allow. Guardians undo all of it without the agent.
interface ISentinel {
    /// @param sensitivityCeiling the agent grants nothing more sensitive, 0 to 3.
    /// @param window_s length of a budget window in seconds; windows start at multiples of it.
    /// @param grantsPerWindow grants the agent may give in one window.
    /// @param restrictionsPerWindow revocations and quarantines the agent may make in one window.
    /// @param maxQuarantine_s longest quarantine, and how long a release by guardians shields from the next.
    /// @param maxGrant_s longest grant by the agent.
    struct Limits {
        uint8 sensitivityCeiling;
        uint24 window_s;
        uint24 grantsPerWindow;
        uint24 restrictionsPerWindow;
        uint32 maxQuarantine_s;
        uint32 maxGrant_s;
    }

    /// @notice The agent reports a threat.
    event AlertRaised(address indexed subject, bytes32 indexed kind, uint8 severity, bytes32 receipt);
    /// @notice The limits changed.
    event LimitsSet(Limits limits);
    /// @notice Guardians took the agent out of service.
    event AgentSuspended(address by);
    /// @notice The agent is back in service.
    event AgentResumed(address by);

    /// @notice The agent is out of service.
    error SentinelAgentSuspended();
    /// @notice Every act carries the hash of a receipt.
    error SentinelReceiptMissing();
    /// @notice The budget of this window is spent.
    error SentinelBudgetSpent(uint24 perWindow);
    /// @notice A quarantine lasts from 1 second to the maximum.
    error SentinelQuarantineTooLong(uint40 ttl_s, uint32 maximum_s);
    /// @notice Guardians released this requester; it cannot be locked out again yet.
    error SentinelShielded(address requester, uint40 until);
    /// @notice The request was decided before.
    error SentinelAlreadyDecided(bytes32 request);
    /// @notice Not even guardians can grant this: `basis` says why.
    error SentinelCannotGrant(bytes32 request, IAccessGrants.Basis basis);
    /// @notice Ceiling above 3, or a window of 0 seconds.
    error SentinelInvalidLimits();

    /// @notice Decide one request. Reverts where it was decided before.
    function decide(IAccessGrants.Decision calldata decision) external;
    /// @notice Decide many requests; those decided before are skipped.
    function decideMany(IAccessGrants.Decision[] calldata decisions) external;
    /// @notice End the grant that answers this very request. A grant that answers another request stays, also for the
    /// same requester, asset and purpose.
    function revoke(IAccessGrants.Request calldata item, bytes32 receipt) external;
    /// @notice Cut a requester off for `ttl_s` seconds.
    function quarantine(address requester, uint40 ttl_s, bytes32 receipt) external;
    /// @notice Report a threat, as the agent: nobody else does. Changes no right.
    /// @param severity 1 (note) to 3 (act now).
    function raiseAlert(address subject, bytes32 kind, uint8 severity, bytes32 receipt) external;

    /// @notice Guardians grant a request, whatever the agent said of it or did not say. Not while access is paused or
    /// the requester is quarantined.
    function approve(IAccessGrants.Request calldata item, bytes32 receipt) external;
    /// @notice Guardians deny a request, and end the grant that answers it. Where another request's grant has replaced
    /// it, that one stays.
    function cancel(IAccessGrants.Request calldata item, bytes32 receipt) external;
    /// @notice Guardians end a quarantine; the agent cannot renew it for `maxQuarantine_s`.
    function release(address requester, bytes32 receipt) external;
    /// @notice Guardians take the agent out of service at once.
    function suspendAgent() external;
    /// @notice Put the agent back in service.
    function resumeAgent() external;
    /// @notice Change the limits.
    function setLimits(Limits calldata limits) external;

    /// @notice The limits in force.
    function limitsInForce() external view returns (Limits memory);
    /// @notice What is left in the current window.
    function budgetLeft() external view returns (uint24 grants, uint24 restrictions);
    /// @notice Whether guardians took the agent out of service.
    function isAgentSuspended() external view returns (bool);
    /// @notice Until when a requester is shielded from quarantine.
    function shieldedUntil(address requester) external view returns (uint40);
}
