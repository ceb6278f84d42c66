// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Requests, decisions and grants
interface IAccessGrants {
    /// @notice What a decision says, and what became of it.
    enum Verdict {
        Deny,
        Escalate,
        Grant
    }

    /// @notice Where a request stands.
    enum Status {
        None,
        Pending,
        Denied,
        Escalated,
        Granted
    }

    /// @notice Why a use or a grant is refused; Agreed where it is not.
    enum Basis {
        Agreed,
        NoGrant,
        Expired,
        NoConsent,
        NotMember,
        Quarantined,
        Paused,
        AboveCeiling,
        BudgetSpent
    }

    /// @param requester who wants to use the asset.
    /// @param organisation on whose behalf; consent names this party. The requester itself when it acts alone.
    /// @param asset what is asked for.
    /// @param purpose hash of the IRI of a DPV purpose.
    /// @param scope set of actions: 1 read, 2 write, 4 export.
    /// @param until last second of the grant asked for.
    /// @param context hash of the off-chain context.
    struct Request {
        address requester;
        address organisation;
        bytes32 asset;
        bytes32 purpose;
        uint8 scope;
        uint40 until;
        bytes32 context;
    }

    /// @notice A request as a gateway files it, for a member of its organisation.
    struct Filing {
        address requester;
        bytes32 asset;
        bytes32 purpose;
        uint8 scope;
        uint40 until;
        bytes32 context;
    }

    /// @param request the request in full, as its event says it.
    /// @param verdict what is said of it.
    /// @param receipt hash of the receipt that explains the verdict.
    struct Decision {
        Request request;
        Verdict verdict;
        bytes32 receipt;
    }

    /// @notice What bounds a batch of decisions.
    /// @param ceiling nothing more sensitive is granted.
    /// @param grantsLeft how many may be granted.
    /// @param latestUntil no grant goes on longer.
    struct Bounds {
        uint8 ceiling;
        uint24 grantsLeft;
        uint40 latestUntil;
    }

    /// @notice A grant as gateways read it.
    /// @param request identifier of the request that it answers.
    /// @param organisation on whose behalf.
    /// @param until last second.
    /// @param consentVersion the consent that it rests on; it ends with that version.
    /// @param scope what it allows.
    struct Grant {
        bytes32 request;
        address organisation;
        uint40 until;
        uint40 consentVersion;
        uint8 scope;
    }

    /// @notice Somebody asks for access.
    event AccessRequested(
        bytes32 indexed request,
        address indexed requester,
        bytes32 indexed asset,
        address organisation,
        bytes32 purpose,
        uint8 scope,
        uint40 until,
        bytes32 context
    );
    /// @notice A request was decided. `basis` says what lowered the verdict that was sent, if anything did.
    event AccessDecided(bytes32 indexed request, Status outcome, Basis basis, uint40 until, bytes32 receipt);
    /// @notice A decision came too late: the request had been decided before.
    event DecisionSkipped(bytes32 indexed request, bytes32 receipt);
    /// @notice A grant ended before its time: the one that stood for these three.
    event AccessRevoked(address indexed requester, bytes32 indexed asset, bytes32 indexed purpose, bytes32 receipt);
    /// @notice A requester is cut off.
    event RequesterQuarantined(address indexed requester, uint40 until, bytes32 receipt);
    /// @notice A requester is no longer cut off.
    event RequesterReleased(address indexed requester, bytes32 receipt);
    /// @notice All access stands still.
    event AccessPaused(address by);
    /// @notice Access goes on.
    event AccessResumed(address by);
    /// @notice Decisions come from `door` from now on.
    event DoorSet(address indexed door);

    /// @notice The very same request stands already.
    error AccessGrantsDuplicateRequest(bytes32 request);
    /// @notice Scope is empty or has unknown bits, or the end lies in the past.
    error AccessGrantsInvalidRequest(bytes32 request);
    /// @notice The caller is no gateway of that organisation.
    error AccessGrantsNotItsGateway(address organisation, address account);
    /// @notice Nobody asked this.
    error AccessGrantsUnknownRequest(bytes32 request);
    /// @notice Decisions come through the door only.
    error AccessGrantsNotTheDoor(address account);
    /// @notice Every act carries the hash of a receipt.
    error AccessGrantsReceiptMissing(bytes32 request);
    /// @notice No grant answers this request: there was none, it was ended, or another request's replaced it.
    error AccessGrantsNoGrant(bytes32 request);

    /// @notice Ask for access in one's own name.
    /// @return id the request's identifier.
    function request(bytes32 asset, bytes32 purpose, uint8 scope, uint40 until, bytes32 context)
        external
        returns (bytes32 id);
    /// @notice File requests of an organisation's members, as its gateway: the only way to ask on its behalf.
    /// @dev All or nothing: the first filing that stands already or makes no sense (an end in the past, an empty or
    /// unknown scope) turns the whole batch back, and the error names it. Nobody but the organisation's own gateways
    /// can have filed it before, so a gateway is held up by its own mistakes only, and files the rest again.
    function requestMany(address organisation, Filing[] calldata filings) external;

    /// @notice Decide pending requests within bounds; those decided before are skipped.
    /// @dev A verdict to grant that cannot be carried out never turns into something else than this: Denied where the
    /// request has run out or no consent covers it, Escalated where access is paused, the requester is quarantined,
    /// the asset lies above the ceiling or the budget is spent. Guardians can grant what was escalated, after the pause
    /// or the quarantine where it was that.
    /// @return granted how many were granted.
    function decideMany(Decision[] calldata decisions, Bounds calldata bounds) external returns (uint24 granted);
    /// @notice Decide a request whatever was decided before: the guardians' way. Unless it says grant, it ends the
    /// grant that answers this very request; a grant that answers another request stays, also for the same use.
    /// @return basis what spoke against it.
    function overrule(Decision calldata decision) external returns (Basis basis);
    /// @notice End the grant that answers this very request, and no other's. The request stays as it was decided.
    function revoke(Request calldata item, bytes32 receipt) external;
    /// @notice Cut a requester off until a time. A quarantine that goes on longer stays as it is: none is cut short so.
    function quarantine(address requester, uint40 until, bytes32 receipt) external;
    /// @notice End a quarantine.
    function release(address requester, bytes32 receipt) external;
    /// @notice Let nothing through until resumed: break-glass.
    function pause() external;
    /// @notice Let access go on.
    function resume() external;
    /// @notice Name the contract that decisions, revocations and quarantines come through.
    function setDoor(address newDoor) external;

    /// @notice Whether `requester` may do all of `scope` with `asset` for `purpose` now.
    function hasAccess(address requester, bytes32 asset, bytes32 purpose, uint8 scope) external view returns (bool);
    /// @notice Why not; Agreed where access stands.
    function accessBasis(address requester, bytes32 asset, bytes32 purpose, uint8 scope)
        external
        view
        returns (Basis);
    /// @notice The latest grant for these three, live or not; all zero where there is none or it was ended.
    function grantOf(address requester, bytes32 asset, bytes32 purpose) external view returns (Grant memory);
    /// @notice Where a request stands. Granted says how it was decided: its grant may have ended since.
    function statusOf(bytes32 id) external view returns (Status);
    /// @notice Until when a requester is cut off; 0 or past: it is not.
    function quarantinedUntil(address requester) external view returns (uint40);
    /// @notice The contract that decisions, revocations and quarantines come through.
    function door() external view returns (address);
    /// @notice Whether all access stands still.
    function isPaused() external view returns (bool);
    /// @notice The identifier of a request.
    function requestId(Request calldata item) external pure returns (bytes32);
    /// @notice ERC-1056 delegate type of an organisation's members.
    function MEMBER() external view returns (bytes32);
    /// @notice ERC-1056 delegate type of an organisation's gateways.
    function GATEWAY() external view returns (bytes32);
}
