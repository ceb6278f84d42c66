// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IAuthorityRoles} from "./interfaces/IAuthorityRoles.sol";

/// @title Who may call what, with delays and guardians
/// @notice OpenZeppelin's AccessManager with three rules that no administrator can bend: the agent's account holds no
/// other role, the agent's role administers and guards nothing, and it opens one door only, the Sentinel.
contract Authority is AccessManager, IAuthorityRoles {
    using EnumerableSet for EnumerableSet.UintSet;

    /// @inheritdoc IAuthorityRoles
    uint64 public constant AGENT = 1;
    /// @inheritdoc IAuthorityRoles
    uint64 public constant GUARDIAN = 2;
    /// @inheritdoc IAuthorityRoles
    uint64 public constant STEWARD = 3;
    /// @inheritdoc IAuthorityRoles
    uint64 public constant NOTARY = 4;
    /// @inheritdoc IAuthorityRoles
    uint64 public constant POLICY = 5;

    address private _agentDoor;
    /// @dev Memberships that wait for their grant delay count too; `hasRole` does not see those.
    mapping(address account => EnumerableSet.UintSet) private _rolesOf;

    /// @param admin first holder of ADMIN_ROLE.
    constructor(address admin) AccessManager(admin) {
        _setRoleGuardian(POLICY, GUARDIAN);
        emit RoleLabel(AGENT, "AGENT");
        emit RoleLabel(GUARDIAN, "GUARDIAN");
        emit RoleLabel(STEWARD, "STEWARD");
        emit RoleLabel(NOTARY, "NOTARY");
        emit RoleLabel(POLICY, "POLICY");
    }

    /// @inheritdoc IAuthorityRoles
    function setAgentDoor(address door) external onlyAuthorized {
        if (_agentDoor != address(0)) revert AuthorityDoorAlreadySet(_agentDoor);
        _agentDoor = door;
        emit AgentDoorSet(door);
    }

    /// @inheritdoc IAuthorityRoles
    function agentDoor() external view returns (address) {
        return _agentDoor;
    }

    function _grantRole(uint64 roleId, address account, uint32 grantDelay, uint32 executionDelay)
        internal
        override
        returns (bool)
    {
        EnumerableSet.UintSet storage held = _rolesOf[account];
        if (held.length() != 0 && (roleId == AGENT) != held.contains(AGENT)) {
            revert AuthorityRoleConflict(account, uint64(held.at(0)));
        }
        held.add(roleId);
        return super._grantRole(roleId, account, grantDelay, executionDelay);
    }

    function _revokeRole(uint64 roleId, address account) internal override returns (bool) {
        _rolesOf[account].remove(roleId);
        return super._revokeRole(roleId, account);
    }

    function _setRoleAdmin(uint64 roleId, uint64 admin) internal override {
        if (admin == AGENT || admin == PUBLIC_ROLE) revert AuthorityAgentHasNoPower(roleId);
        super._setRoleAdmin(roleId, admin);
    }

    function _setRoleGuardian(uint64 roleId, uint64 guardian) internal override {
        if (guardian == AGENT || guardian == PUBLIC_ROLE) revert AuthorityAgentHasNoPower(roleId);
        super._setRoleGuardian(roleId, guardian);
    }

    function _setTargetFunctionRole(address target, bytes4 selector, uint64 roleId) internal override {
        if (roleId == AGENT && target != _agentDoor) revert AuthorityNotTheAgentDoor(target);
        super._setTargetFunctionRole(target, selector, roleId);
    }
}
