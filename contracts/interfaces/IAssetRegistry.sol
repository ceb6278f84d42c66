// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Datasets, records and models: content hash, sensitivity, owner, parents
interface IAssetRegistry {
    /// @param owner identity that controls the asset and gives consent.
    /// @param contentHash hash of the content; one owner registers a content once.
    /// @param sensitivity 0 (public) to 3.
    /// @param supersedes asset of the same owner that this one replaces, or zero.
    /// @param parents assets this one was derived from; they exist already, so the graph has no cycle.
    struct Registration {
        address owner;
        bytes32 contentHash;
        uint8 sensitivity;
        bytes32 supersedes;
        bytes32[] parents;
    }

    /// @notice An asset came into being.
    event AssetRegistered(bytes32 indexed asset, address indexed owner, bytes32 contentHash, uint8 sensitivity);
    /// @notice `asset` was made from `parent`.
    event AssetDerived(bytes32 indexed asset, bytes32 indexed parent);
    /// @notice `successor` replaced `asset`.
    event AssetSuperseded(bytes32 indexed asset, bytes32 indexed successor);
    /// @notice `asset` was found to be more sensitive than said before.
    event SensitivityRaised(bytes32 indexed asset, uint8 from, uint8 to);

    /// @notice No such asset.
    error AssetRegistryUnknownAsset(bytes32 asset);
    /// @notice This owner has registered this content before.
    error AssetRegistryAlreadyRegistered(bytes32 asset);
    /// @notice Sensitivity runs from 0 to 3, and is only ever raised.
    error AssetRegistryInvalidSensitivity(uint8 sensitivity);
    /// @notice The zero address owns nothing.
    error AssetRegistryInvalidOwner();
    /// @notice A version replaces one asset of its own owner that nothing has replaced.
    error AssetRegistryCannotSupersede(bytes32 asset);

    /// @notice Register one asset.
    /// @return asset its identifier.
    function register(Registration calldata registration) external returns (bytes32 asset);
    /// @notice Register many assets in the order given; later ones may name earlier ones as parents.
    function registerMany(Registration[] calldata registrations) external;
    /// @notice Raise the sensitivity of `asset`.
    function raiseSensitivity(bytes32 asset, uint8 sensitivity) external;

    /// @notice The identifier that `owner`'s content has or would have here.
    function assetId(address owner, bytes32 contentHash) external view returns (bytes32);
    /// @notice Owner of a registered asset.
    function ownerOf(bytes32 asset) external view returns (address);
    /// @notice Sensitivity of a registered asset, 0 to 3.
    function sensitivityOf(bytes32 asset) external view returns (uint8);
    /// @notice Whether `asset` exists.
    function isRegistered(bytes32 asset) external view returns (bool);
    /// @notice Whether a newer version has replaced `asset`.
    function isSuperseded(bytes32 asset) external view returns (bool);
}
