// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title An ERC-20 token to put load on a network
contract Token is ERC20 {
    /// @param supply what the deployer holds.
    constructor(uint256 supply) ERC20("Load", "LOAD") {
        _mint(msg.sender, supply);
    }
}
