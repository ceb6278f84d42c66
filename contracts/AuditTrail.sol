// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IAuditTrail} from "./interfaces/IAuditTrail.sol";

/// @title AuditTrail
/// @notice Append-only: two slots, whatever the number of anchors. Roots are in events; the head commits to them all.
contract AuditTrail is AccessManaged, IAuditTrail {
    bytes32 private _head;
    uint64 private _length;

    /// @param authority the AccessManager that decides who calls what.
    constructor(address authority) AccessManaged(authority) {}

    /// @inheritdoc IAuditTrail
    function anchor(bytes32 stream, bytes32 root, uint32 count) external restricted returns (uint64 index) {
        if (root == bytes32(0) || count == 0) revert AuditTrailEmptyAnchor();
        bytes32 previous = _head;
        index = _length;
        bytes32 next = keccak256(abi.encode(previous, index, stream, root, count, msg.sender));
        _head = next;
        _length = index + 1;
        emit Anchored(index, stream, root, count, msg.sender, previous, next);
    }

    /// @inheritdoc IAuditTrail
    function length() external view returns (uint64) {
        return _length;
    }

    /// @inheritdoc IAuditTrail
    function head() external view returns (bytes32) {
        return _head;
    }

    /// @inheritdoc IAuditTrail
    function isIncluded(bytes32 root, bytes32 leaf, bytes32[] calldata proof) external pure returns (bool) {
        return MerkleProof.verifyCalldata(proof, root, leaf);
    }
}
