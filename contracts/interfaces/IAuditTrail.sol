// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Hash-chained anchors of records kept off chain
interface IAuditTrail {
    /// @notice Anchor `index` names the head that anchor `index - 1` left behind.
    event Anchored(
        uint64 indexed index,
        bytes32 indexed stream,
        bytes32 root,
        uint32 count,
        address publisher,
        bytes32 previousHead,
        bytes32 head
    );

    /// @notice Nothing to anchor: no root or no records.
    error AuditTrailEmptyAnchor();

    /// @notice Append an anchor.
    /// @param stream kind of record.
    /// @param root Merkle root over the records.
    /// @param count how many records the root covers.
    /// @return index the anchor's number, from 0.
    function anchor(bytes32 stream, bytes32 root, uint32 count) external returns (uint64 index);

    /// @notice How many anchors there are.
    function length() external view returns (uint64);
    /// @notice Head of the chain of anchors; zero before the first.
    function head() external view returns (bytes32);
    /// @notice Whether `leaf` is under `root`.
    function isIncluded(bytes32 root, bytes32 leaf, bytes32[] calldata proof) external pure returns (bool);
}
