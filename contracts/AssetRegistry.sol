// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAssetRegistry} from "./interfaces/IAssetRegistry.sol";

/// @title AssetRegistry
/// @notice One slot per asset holds what other contracts read: owner, sensitivity, whether it was replaced.
/// Content hashes and parents are in events, where nothing on chain reads them.
contract AssetRegistry is AccessManaged, IAssetRegistry {
    struct Asset {
        address owner;
        uint8 sensitivity;
        bool superseded;
    }

    uint8 private constant MAX_SENSITIVITY = 3;

    mapping(bytes32 asset => Asset) private _assets;

    /// @param authority the AccessManager that decides who calls what.
    constructor(address authority) AccessManaged(authority) {}

    /// @inheritdoc IAssetRegistry
    function register(Registration calldata registration) external restricted returns (bytes32 asset) {
        return _register(registration);
    }

    /// @inheritdoc IAssetRegistry
    function registerMany(Registration[] calldata registrations) external restricted {
        for (uint256 i = 0; i < registrations.length; ++i) {
            _register(registrations[i]);
        }
    }

    /// @inheritdoc IAssetRegistry
    function raiseSensitivity(bytes32 asset, uint8 sensitivity) external restricted {
        Asset storage entry = _known(asset);
        uint8 from = entry.sensitivity;
        if (sensitivity <= from || sensitivity > MAX_SENSITIVITY) revert AssetRegistryInvalidSensitivity(sensitivity);
        entry.sensitivity = sensitivity;
        emit SensitivityRaised(asset, from, sensitivity);
    }

    /// @inheritdoc IAssetRegistry
    function ownerOf(bytes32 asset) external view returns (address) {
        return _known(asset).owner;
    }

    /// @inheritdoc IAssetRegistry
    function sensitivityOf(bytes32 asset) external view returns (uint8) {
        Asset storage entry = _assets[asset];
        // Both before the check, so that the slot is read once.
        (address owner, uint8 sensitivity) = (entry.owner, entry.sensitivity);
        if (owner == address(0)) revert AssetRegistryUnknownAsset(asset);
        return sensitivity;
    }

    /// @inheritdoc IAssetRegistry
    function isRegistered(bytes32 asset) external view returns (bool) {
        return _assets[asset].owner != address(0);
    }

    /// @inheritdoc IAssetRegistry
    function isSuperseded(bytes32 asset) external view returns (bool) {
        return _known(asset).superseded;
    }

    /// @inheritdoc IAssetRegistry
    function assetId(address owner, bytes32 contentHash) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), owner, contentHash));
    }

    function _register(Registration calldata registration) private returns (bytes32 asset) {
        address owner = registration.owner;
        if (owner == address(0)) revert AssetRegistryInvalidOwner();
        if (registration.sensitivity > MAX_SENSITIVITY) revert AssetRegistryInvalidSensitivity(registration.sensitivity);
        asset = assetId(owner, registration.contentHash);
        if (_assets[asset].owner != address(0)) revert AssetRegistryAlreadyRegistered(asset);
        for (uint256 i = 0; i < registration.parents.length; ++i) {
            bytes32 parent = registration.parents[i];
            _known(parent);
            emit AssetDerived(asset, parent);
        }
        bytes32 replaced = registration.supersedes;
        if (replaced != bytes32(0)) {
            Asset storage old = _known(replaced);
            if (old.owner != owner || old.superseded) revert AssetRegistryCannotSupersede(replaced);
            old.superseded = true;
            emit AssetSuperseded(replaced, asset);
        }
        _assets[asset] = Asset(owner, registration.sensitivity, false);
        emit AssetRegistered(asset, owner, registration.contentHash, registration.sensitivity);
    }

    function _known(bytes32 asset) private view returns (Asset storage entry) {
        entry = _assets[asset];
        if (entry.owner == address(0)) revert AssetRegistryUnknownAsset(asset);
    }
}
