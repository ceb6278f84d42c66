// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {INodePermissions} from "./interfaces/INodePermissions.sol";

/// @title NodePermissions
/// @notice One slot for an organisation, with the powers of all its roles, one for an account, one for a node: what an
/// account may do takes two reads. Names of roles and public keys are in events, where nothing on chain reads them.
contract NodePermissions is AccessManaged, INodePermissions {
    /// @dev 224 bits. `powers` has three bits for each role, the managers' lowest. `validators` counts the nodes that
    /// are allowed to validate, suspended or not.
    struct Organisation {
        Standing standing;
        uint8 roles;
        uint16 validators;
        uint192 powers;
    }

    /// @dev `role` is the role's place in its organisation's powers.
    struct Account {
        address organisation;
        uint8 role;
    }

    /// @dev `place` is one more than the node's in `_allowed`, and 0 for a node that is not allowed to validate.
    struct Node {
        address organisation;
        uint32 place;
    }

    uint8 private constant TRANSACT = 1;
    uint8 private constant DEPLOY = 2;
    uint8 private constant MANAGE = 4;
    uint8 private constant ALL_POWERS = 7;
    uint8 private constant POWER_BITS = 3;
    uint8 private constant MAX_ROLES = 64;
    uint256 private constant CURVE_PRIME = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;

    /// @inheritdoc INodePermissions
    bytes32 public constant MANAGER = keccak256("manager");

    /// @dev These two share the slot of AccessManaged's authority, which every act of the administrator reads anyway.
    bool private _enforced;
    uint32 private _validators;

    mapping(address organisation => Organisation) private _organisations;
    /// @dev The role's place; 0 is the managers' and stands for none here.
    mapping(address organisation => mapping(bytes32 role => uint8)) private _places;
    mapping(address account => Account) private _accounts;
    mapping(address node => Node) private _nodes;
    address[] private _allowed;

    /// @dev Whoever signed the transaction has to be let into the next block too, so it is the origin that counts,
    /// whatever contract it speaks through. Nothing is allowed on its account.
    modifier withoutLockOut() {
        uint8 signers = _powersOf(tx.origin);
        uint8 callers = _powersOf(msg.sender);
        _;
        _requireKept(tx.origin, signers);
        if (msg.sender != tx.origin) _requireKept(msg.sender, callers);
    }

    /// @param authority the AccessManager that decides who is the network's administrator.
    constructor(address authority) AccessManaged(authority) {}

    /// @inheritdoc INodePermissions
    function admitOrganisation(address organisation, address firstManager) external restricted {
        if (organisation == address(0)) revert NodePermissionsInvalidAddress();
        Organisation storage entry = _organisations[organisation];
        if (entry.standing != Standing.None) revert NodePermissionsWrongStanding(organisation, entry.standing);
        _organisations[organisation] = Organisation(Standing.Active, 1, 0, ALL_POWERS);
        emit OrganisationAdmitted(organisation);
        _assign(organisation, firstManager, MANAGER);
    }

    /// @inheritdoc INodePermissions
    function appointManager(address organisation, address account) external restricted {
        Standing standing = _organisations[organisation].standing;
        if (standing == Standing.None) revert NodePermissionsWrongStanding(organisation, standing);
        _assign(organisation, account, MANAGER);
    }

    /// @inheritdoc INodePermissions
    function suspendOrganisation(address organisation) external restricted withoutLockOut {
        uint16 validators = _move(organisation, Standing.Active, Standing.Suspended);
        emit OrganisationSuspended(organisation);
        _withdraw(validators);
    }

    /// @inheritdoc INodePermissions
    function restoreOrganisation(address organisation) external restricted {
        _validators += _move(organisation, Standing.Suspended, Standing.Active);
        emit OrganisationRestored(organisation);
    }

    /// @inheritdoc INodePermissions
    function allowValidator(address node) external restricted {
        address organisation = _ownerOf(node);
        if (_nodes[node].place != 0) revert NodePermissionsAlreadyAllowed(node);
        _allowed.push(node);
        _nodes[node].place = uint32(_allowed.length);
        Organisation storage owner = _organisations[organisation];
        ++owner.validators;
        if (owner.standing == Standing.Active) ++_validators;
        emit ValidatorAllowed(node, organisation);
    }

    /// @inheritdoc INodePermissions
    function disallowValidator(address node) external restricted {
        address organisation = _ownerOf(node);
        uint32 place = _nodes[node].place;
        if (place == 0) revert NodePermissionsNotAllowed(node);
        _nodes[node].place = 0;
        _disallow(node, organisation, place);
    }

    /// @inheritdoc INodePermissions
    function expelAccount(address account) external restricted withoutLockOut {
        address organisation = _accounts[account].organisation;
        if (organisation == address(0)) revert NodePermissionsUnknownAccount(account);
        delete _accounts[account];
        emit AccountExpelled(account, organisation);
    }

    /// @inheritdoc INodePermissions
    function expelNode(address node) external restricted {
        address organisation = _ownerOf(node);
        _take(node, organisation);
        emit NodeExpelled(node, organisation);
    }

    /// @inheritdoc INodePermissions
    function enforce() external restricted {
        if (_enforced) revert NodePermissionsAlreadyEnforced();
        if (_validators == 0) revert NodePermissionsNoValidator();
        if (_powersOf(tx.origin) & TRANSACT == 0) revert NodePermissionsLockOut(tx.origin);
        _enforced = true;
        emit PermissionsEnforced();
    }

    /// @inheritdoc INodePermissions
    function defineRole(bytes32 role, uint8 powers) external withoutLockOut {
        address organisation = _managed();
        if (role == MANAGER) revert NodePermissionsFixedRole(role);
        if (powers > ALL_POWERS) revert NodePermissionsInvalidPowers(powers);
        Organisation memory entry = _organisations[organisation];
        uint8 place = _places[organisation][role];
        if (place == 0) {
            place = entry.roles;
            if (place == MAX_ROLES) revert NodePermissionsTooManyRoles(organisation);
            _places[organisation][role] = place;
            entry.roles = place + 1;
        }
        uint256 shift = uint256(place) * POWER_BITS;
        entry.powers = uint192((entry.powers & ~(uint256(ALL_POWERS) << shift)) | (uint256(powers) << shift));
        _organisations[organisation] = entry;
        emit RoleDefined(organisation, role, powers);
    }

    /// @inheritdoc INodePermissions
    function assignAccount(address account, bytes32 role) external withoutLockOut {
        _assign(_managed(), account, role);
    }

    /// @inheritdoc INodePermissions
    function removeAccount(address account) external withoutLockOut {
        address organisation = _managed();
        address owner = _accounts[account].organisation;
        if (owner == address(0)) revert NodePermissionsUnknownAccount(account);
        if (owner != organisation) revert NodePermissionsForeignAccount(account, owner);
        delete _accounts[account];
        emit AccountRemoved(account, organisation);
    }

    /// @inheritdoc INodePermissions
    function addNode(bytes calldata publicKey) external returns (address node) {
        address organisation = _managed();
        if (!_isOnCurve(publicKey)) revert NodePermissionsInvalidPublicKey();
        node = address(uint160(uint256(keccak256(publicKey))));
        address owner = _nodes[node].organisation;
        if (owner == organisation) revert NodePermissionsKnownNode(node);
        if (owner != address(0)) revert NodePermissionsForeignNode(node, owner);
        _nodes[node] = Node(organisation, 0);
        emit NodeAdded(node, organisation, publicKey);
    }

    /// @inheritdoc INodePermissions
    function removeNode(address node) external {
        address organisation = _managed();
        address owner = _ownerOf(node);
        if (owner != organisation) revert NodePermissionsForeignNode(node, owner);
        _take(node, organisation);
        emit NodeRemoved(node, organisation);
    }

    /// @inheritdoc INodePermissions
    function mayTransact(address account, bool isCreation) external view returns (bool) {
        return _mayTransact(account, isCreation);
    }

    /// @inheritdoc INodePermissions
    function mayTransactMany(address[] calldata accounts, bool[] calldata areCreations)
        external
        view
        returns (bool[] memory answers)
    {
        if (accounts.length != areCreations.length) {
            revert NodePermissionsLengthMismatch(accounts.length, areCreations.length);
        }
        answers = new bool[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            answers[i] = _mayTransact(accounts[i], areCreations[i]);
        }
    }

    /// @inheritdoc INodePermissions
    function mayConnect(address node) external view returns (bool) {
        return _isActive(_nodes[node].organisation) || !_enforced;
    }

    /// @inheritdoc INodePermissions
    function mayValidate(address node) external view returns (bool) {
        Node storage entry = _nodes[node];
        (address organisation, uint32 place) = (entry.organisation, entry.place);
        return (place != 0 && _isActive(organisation)) || !_enforced;
    }

    /// @inheritdoc INodePermissions
    function getValidators() external view returns (address[] memory validators) {
        validators = new address[](_validators);
        uint256 count = 0;
        uint256 length = _allowed.length;
        for (uint256 i = 0; i < length; ++i) {
            address node = _allowed[i];
            if (_isActive(_nodes[node].organisation)) validators[count++] = node;
        }
    }

    /// @inheritdoc INodePermissions
    function isEnforced() external view returns (bool) {
        return _enforced;
    }

    /// @inheritdoc INodePermissions
    function organisationOf(address organisation) external view returns (Standing standing, uint16 validators) {
        Organisation memory entry = _organisations[organisation];
        return (entry.standing, entry.validators);
    }

    /// @inheritdoc INodePermissions
    function accountOf(address account) external view returns (address organisation, uint8 powers) {
        return (_accounts[account].organisation, _powersOf(account));
    }

    /// @inheritdoc INodePermissions
    function nodeOf(address node) external view returns (address organisation, bool isAllowed) {
        Node memory entry = _nodes[node];
        return (entry.organisation, entry.place != 0);
    }

    /// @inheritdoc INodePermissions
    function holdsRole(address account, bytes32 role) external view returns (bool) {
        Account memory entry = _accounts[account];
        if (entry.role == 0) return role == MANAGER && entry.organisation != address(0);
        return _places[entry.organisation][role] == entry.role;
    }

    /// @inheritdoc INodePermissions
    function powersOf(address organisation, bytes32 role) external view returns (uint8) {
        return _powersAt(_organisations[organisation].powers, _placeOf(organisation, role));
    }

    function _assign(address organisation, address account, bytes32 role) private {
        if (account == address(0)) revert NodePermissionsInvalidAddress();
        address owner = _accounts[account].organisation;
        if (owner != address(0) && owner != organisation) revert NodePermissionsForeignAccount(account, owner);
        _accounts[account] = Account(organisation, _placeOf(organisation, role));
        emit AccountAssigned(account, organisation, role);
    }

    /// @return validators the organisation's nodes that are allowed to validate.
    function _move(address organisation, Standing from, Standing to) private returns (uint16 validators) {
        Organisation storage entry = _organisations[organisation];
        if (entry.standing != from) revert NodePermissionsWrongStanding(organisation, entry.standing);
        entry.standing = to;
        return entry.validators;
    }

    function _take(address node, address organisation) private {
        uint32 place = _nodes[node].place;
        delete _nodes[node];
        if (place != 0) _disallow(node, organisation, place);
    }

    /// @dev The last node in the list takes the place that becomes free.
    function _disallow(address node, address organisation, uint32 place) private {
        address last = _allowed[_allowed.length - 1];
        if (last != node) {
            _allowed[place - 1] = last;
            _nodes[last].place = place;
        }
        _allowed.pop();
        Organisation storage owner = _organisations[organisation];
        --owner.validators;
        emit ValidatorDisallowed(node, organisation);
        if (owner.standing == Standing.Active) _withdraw(1);
    }

    function _withdraw(uint16 validators) private {
        if (validators == 0) return;
        uint32 left = _validators - validators;
        if (left == 0 && _enforced) revert NodePermissionsNoValidator();
        _validators = left;
    }

    function _requireKept(address account, uint8 powers) private view {
        if (powers & ~_powersOf(account) & (TRANSACT | MANAGE) != 0) revert NodePermissionsLockOut(account);
    }

    /// @return organisation the one that the sender manages.
    function _managed() private view returns (address organisation) {
        // Here and below, all that is needed of a slot is taken at once, so that it is read once.
        Account storage sender = _accounts[msg.sender];
        uint8 place;
        (organisation, place) = (sender.organisation, sender.role);
        Organisation storage entry = _organisations[organisation];
        (Standing standing, uint192 powers) = (entry.standing, entry.powers);
        if (standing == Standing.Suspended) revert NodePermissionsWrongStanding(organisation, standing);
        if (_powersAt(powers, place) & MANAGE == 0) revert NodePermissionsNotManager(msg.sender);
    }

    function _mayTransact(address account, bool isCreation) private view returns (bool) {
        return _powersOf(account) & (isCreation ? DEPLOY : TRANSACT) != 0 || !_enforced;
    }

    /// @dev Nobody's account counts as the zero organisation's, which has no powers to give.
    function _powersOf(address account) private view returns (uint8) {
        Account storage entry = _accounts[account];
        (address organisation, uint8 place) = (entry.organisation, entry.role);
        Organisation storage owner = _organisations[organisation];
        (Standing standing, uint192 powers) = (owner.standing, owner.powers);
        return standing == Standing.Active ? _powersAt(powers, place) : 0;
    }

    function _isActive(address organisation) private view returns (bool) {
        return _organisations[organisation].standing == Standing.Active;
    }

    function _ownerOf(address node) private view returns (address organisation) {
        organisation = _nodes[node].organisation;
        if (organisation == address(0)) revert NodePermissionsUnknownNode(node);
    }

    function _placeOf(address organisation, bytes32 role) private view returns (uint8 place) {
        if (role == MANAGER && _organisations[organisation].standing != Standing.None) return 0;
        place = _places[organisation][role];
        if (place == 0) revert NodePermissionsUnknownRole(organisation, role);
    }

    function _powersAt(uint192 powers, uint8 place) private pure returns (uint8) {
        return uint8(powers >> (uint256(place) * POWER_BITS)) & ALL_POWERS;
    }

    /// @dev y * y = x * x * x + 7, over the field of secp256k1 (SEC 2, section 2.4.1).
    function _isOnCurve(bytes calldata key) private pure returns (bool) {
        if (key.length != 64) return false;
        uint256 x = uint256(bytes32(key[:32]));
        uint256 y = uint256(bytes32(key[32:]));
        if (x >= CURVE_PRIME || y >= CURVE_PRIME) return false;
        uint256 right = addmod(mulmod(mulmod(x, x, CURVE_PRIME), x, CURVE_PRIME), 7, CURVE_PRIME);
        return mulmod(y, y, CURVE_PRIME) == right;
    }
}
