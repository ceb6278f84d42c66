// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the other contracts read from the ERC-1056 registry
interface IDidRegistry {
    /// @notice The account that controls `identity`.
    function identityOwner(address identity) external view returns (address);
    /// @notice Whether `delegate` is a delegate of `identity` in `delegateType` now.
    function validDelegate(address identity, bytes32 delegateType, address delegate) external view returns (bool);
}
