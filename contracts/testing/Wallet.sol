// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title An account that is a contract: its signer answers for it
contract Wallet is IERC1271 {
    using Address for address;

    address private immutable _SIGNER;

    error WalletNotItsSigner(address account);

    constructor(address signer) {
        _SIGNER = signer;
    }

    /// @notice Call `target` as this wallet.
    function execute(address target, bytes calldata data) external returns (bytes memory) {
        if (msg.sender != _SIGNER) revert WalletNotItsSigner(msg.sender);
        return target.functionCall(data);
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(hash, signature);
        return failure == ECDSA.RecoverError.NoError && signer == _SIGNER ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
