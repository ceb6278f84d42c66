// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which organisations, nodes and accounts take part in the network
/// @notice Validators ask it about every block, by its state as of the parent block. So the views named `may...`,
/// `getValidators` and `isEnforced` depend on nothing but this contract's storage and their arguments.
interface INodePermissions {
    enum Standing {
        None,
        Active,
        Suspended
    }

    /// @notice An organisation takes part from now on.
    event OrganisationAdmitted(address indexed organisation);
    /// @notice Nothing that belongs to the organisation takes part any more, until it is restored.
    event OrganisationSuspended(address indexed organisation);
    /// @notice What belongs to the organisation takes part again, as it did before.
    event OrganisationRestored(address indexed organisation);
    /// @notice A role of the organisation has these powers from now on: 1 transact, 2 deploy, 4 manage.
    event RoleDefined(address indexed organisation, bytes32 indexed role, uint8 powers);
    /// @notice An account acts for the organisation, in this role and in no other.
    event AccountAssigned(address indexed account, address indexed organisation, bytes32 indexed role);
    /// @notice The organisation let an account go.
    event AccountRemoved(address indexed account, address indexed organisation);
    /// @notice The network administrator took an account from its organisation.
    event AccountExpelled(address indexed account, address indexed organisation);
    /// @notice A node belongs to the organisation. The public key is its enode identifier.
    event NodeAdded(address indexed node, address indexed organisation, bytes publicKey);
    /// @notice The organisation let a node go.
    event NodeRemoved(address indexed node, address indexed organisation);
    /// @notice The network administrator took a node from its organisation.
    event NodeExpelled(address indexed node, address indexed organisation);
    /// @notice A node may validate while its organisation is active.
    event ValidatorAllowed(address indexed node, address indexed organisation);
    /// @notice A node may validate no more.
    event ValidatorDisallowed(address indexed node, address indexed organisation);
    /// @notice From the next block on, only what these rules allow is part of the network.
    event PermissionsEnforced();

    /// @notice The zero address is neither an organisation nor an account.
    error NodePermissionsInvalidAddress();
    /// @notice The organisation stands otherwise than this act needs.
    error NodePermissionsWrongStanding(address organisation, Standing standing);
    /// @notice Only accounts whose role has the power to manage act for an organisation.
    error NodePermissionsNotManager(address account);
    /// @notice The account belongs to another organisation.
    error NodePermissionsForeignAccount(address account, address organisation);
    /// @notice The account belongs to no organisation.
    error NodePermissionsUnknownAccount(address account);
    /// @notice The node belongs to another organisation.
    error NodePermissionsForeignNode(address node, address organisation);
    /// @notice The node belongs to no organisation.
    error NodePermissionsUnknownNode(address node);
    /// @notice The organisation has this node already.
    error NodePermissionsKnownNode(address node);
    /// @notice No point of secp256k1: 64 bytes, x and y, without a prefix.
    error NodePermissionsInvalidPublicKey();
    /// @notice The organisation has not defined this role.
    error NodePermissionsUnknownRole(address organisation, bytes32 role);
    /// @notice Powers are a set of 1, 2 and 4.
    error NodePermissionsInvalidPowers(uint8 powers);
    /// @notice The managers' role has all powers, always.
    error NodePermissionsFixedRole(bytes32 role);
    /// @notice An organisation has 64 roles at most, the managers' included.
    error NodePermissionsTooManyRoles(address organisation);
    /// @notice The node may validate already.
    error NodePermissionsAlreadyAllowed(address node);
    /// @notice The node may not validate anyway.
    error NodePermissionsNotAllowed(address node);
    /// @notice The act would leave the network without a node that validates.
    error NodePermissionsNoValidator();
    /// @notice The act would take from its own sender the power to transact or to manage, or enforce rules under which
    /// its sender may not transact.
    error NodePermissionsLockOut(address account);
    /// @notice The rules are enforced once and for good.
    error NodePermissionsAlreadyEnforced();
    /// @notice There must be one flag for each account.
    error NodePermissionsLengthMismatch(uint256 accounts, uint256 flags);

    /// @notice Name of the role that every organisation has from the start, with all powers.
    function MANAGER() external view returns (bytes32);

    /// @notice Let an organisation take part, with its first manager: an account that belongs to nobody.
    function admitOrganisation(address organisation, address firstManager) external;
    /// @notice Give an organisation one more manager: one of its accounts, or one that belongs to nobody. So an
    /// organisation that has lost every manager's key gets on.
    function appointManager(address organisation, address account) external;
    /// @notice Shut an organisation out: its accounts do not transact, its nodes neither connect nor validate.
    function suspendOrganisation(address organisation) external;
    /// @notice End a suspension: accounts, nodes and validators are what they were.
    function restoreOrganisation(address organisation) external;
    /// @notice Let an organisation's node validate.
    function allowValidator(address node) external;
    /// @notice Let a node validate no more. It still connects.
    function disallowValidator(address node) external;
    /// @notice Take an account from whatever organisation has it. Organisations can take it on again.
    function expelAccount(address account) external;
    /// @notice Take a node from whatever organisation has it. Organisations can take it on again.
    function expelNode(address node) external;
    /// @notice Put the rules in force, for good. Until then everybody may do everything, so that a network can be set
    /// up. Needs a node that validates, and a sender that may transact.
    function enforce() external;

    /// @notice Make a role of the sender's organisation, or change its powers for all who have it.
    /// @param role its name; not the managers' role.
    /// @param powers a set of 1 (transact: call and send), 2 (deploy: create contracts) and 4 (manage).
    function defineRole(bytes32 role, uint8 powers) external;
    /// @notice Give an account of the sender's organisation, or one that belongs to nobody, this role instead of any
    /// other.
    function assignAccount(address account, bytes32 role) external;
    /// @notice Let an account of the sender's organisation go.
    function removeAccount(address account) external;
    /// @notice Add a node to the sender's organisation.
    /// @param publicKey 64 bytes, x and y of its secp256k1 key: the enode identifier.
    /// @return node its address, which is its validator's address too.
    function addNode(bytes calldata publicKey) external returns (address node);
    /// @notice Let a node of the sender's organisation go, and its allowance to validate with it.
    function removeNode(address node) external;

    /// @notice Whether `account` may send a transaction; one that creates a contract, where `isCreation`.
    function mayTransact(address account, bool isCreation) external view returns (bool);
    /// @notice The same for many at once.
    function mayTransactMany(address[] calldata accounts, bool[] calldata areCreations)
        external
        view
        returns (bool[] memory);
    /// @notice Whether `node` may connect to the others.
    function mayConnect(address node) external view returns (bool);
    /// @notice Whether `node` may validate.
    function mayValidate(address node) external view returns (bool);
    /// @notice The nodes that validate by the rules, in no order, each once. Besu selects validators by this function.
    function getValidators() external view returns (address[] memory);
    /// @notice Whether the rules are in force.
    function isEnforced() external view returns (bool);

    /// @notice How an organisation stands, and how many of its nodes are allowed to validate.
    function organisationOf(address organisation) external view returns (Standing standing, uint16 validators);
    /// @notice Whom an account acts for, zero for nobody, and the powers it has now: none under suspension.
    function accountOf(address account) external view returns (address organisation, uint8 powers);
    /// @notice Whose a node is, zero for nobody's, and whether it is allowed to validate, suspended or not.
    function nodeOf(address node) external view returns (address organisation, bool isAllowed);
    /// @notice Whether an account has this role in its organisation.
    function holdsRole(address account, bytes32 role) external view returns (bool);
    /// @notice Powers of a role that the organisation has defined.
    function powersOf(address organisation, bytes32 role) external view returns (uint8);
}
