// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The roles of ChainSec and the limits put on the agent's
interface IAuthorityRoles {
    /// @notice The one contract that the agent may call has been named, for good.
    event AgentDoorSet(address indexed door);

    /// @notice The agent's account holds no other role, and no holder of a role becomes the agent.
    error AuthorityRoleConflict(address account, uint64 heldRole);
    /// @notice The agent's role can neither administer nor guard `roleId`, and neither can everybody's.
    error AuthorityAgentHasNoPower(uint64 roleId);
    /// @notice Functions of `target` cannot be opened to the agent.
    error AuthorityNotTheAgentDoor(address target);
    /// @notice The door is set once.
    error AuthorityDoorAlreadySet(address door);

    /// @notice Decides requests, through the Sentinel only.
    function AGENT() external view returns (uint64);
    /// @notice People who approve, cancel, release, pause and suspend.
    function GUARDIAN() external view returns (uint64);
    /// @notice Registers assets and their sensitivity.
    function STEWARD() external view returns (uint64);
    /// @notice Anchors off-chain records.
    function NOTARY() external view returns (uint64);
    /// @notice Sets the Sentinel's limits; guardians can cancel what it schedules.
    function POLICY() external view returns (uint64);

    /// @notice Name the only contract whose functions can be opened to the agent. Works once.
    function setAgentDoor(address door) external;
    /// @notice The only contract whose functions can be opened to the agent; zero before it is named.
    function agentDoor() external view returns (address);
}
